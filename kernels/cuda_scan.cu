// The scans of kernels/scan.py: forward, adjoint and backward, all planes and up to four directions in one launch.
//
// One *item* is a direction of a unit (the channels that share a set of gates) or of a few of its channels. One block
// or, for short lines, one warp carries an item from line to line:
//
//   thread    ROWS rows of the line, 32 apart: any load of a warp is one coalesced run, whatever the alignment
//   warp      neighbours in the line come by shuffles; the state stays in registers
//   block     the state at the borders between warps goes through shared memory, two copies in turns: one barrier a step
//   ahead     a ring of DEPTH registers holds the lines to come
//
// A horizontal scan reads images (and gates in layout "image") across their rows. Those go through tiles of a few
// columns in shared memory: while one tile is scanned, each step also takes a piece of the next tile in from the ring
// and sends a piece of the finished one out, row by row, so that memory sees runs again. Piece j of any tile is moved by
// the same threads, so cells are emptied and refilled without a barrier of their own; the step's barrier orders the
// rest. Results replace the inputs they came from, cell by cell.

enum Operation { FORWARD, ADJOINT, BACKWARD };
enum Norm { NONE, MAX1, SUM };

constexpr int LANES = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// One direction of a call. Pointers are to whole tensors.
struct Way {
    const void* images[3];  // FORWARD: x. ADJOINT: u. BACKWARD: gradient of h, x, h.
    const void* gates;
    void* out;        // FORWARD: h; otherwise the gradient of x
    void* gates_out;  // BACKWARD: the gradient of the gates, or with several chunks their parts of it, in state type
    int horizontal;
    int reverse;
};

struct Call {
    Way ways[4];
    void* state;   // long lines only: 2 (FORWARD) or 6 lines of state an item
    int way_count;
    int units;     // sets of gates: B * G
    int channels;  // that share a set
    int chunks;    // parts that the channels of a unit are cut into, one item each
    int height;
    int width;
    int norm;
    int scanned;      // gates of horizontal directions lie in the order of the scan
    int image_tiled;  // horizontal directions: images, gates through tiles
    int gates_tiled;
    int tile_bits;  // columns of a tile: 1 << tile_bits
    int item_bytes;  // shared memory of an item
};

template <bool ONE_WARP>
__device__ __forceinline__ void meet() {
    if (ONE_WARP) {
        __syncwarp();
    } else {
        __syncthreads();
    }
}

// Gates to propagation weights. A gate that points outside counts in the normaliser and is zero elsewhere.
template <class State>
struct Weights {
    State p[3];       // masked
    State raw[3];     // as they came
    State total;      // sum |g|
    State inverse;    // of the normaliser; 1 without

    __device__ __forceinline__ void set(const State (&gates)[3], int norm, bool first_line, bool first_row,
                                        bool last_row) {
        total = State(0);
#pragma unroll
        for (int k = 0; k < 3; ++k) {
            raw[k] = gates[k];
            total += gates[k] < State(0) ? -gates[k] : gates[k];
        }
        inverse = State(1);
        if (norm != NONE) inverse = reciprocal(total > least(norm) ? total : least(norm));
        p[0] = first_line || first_row ? State(0) : raw[0] * inverse;
        p[1] = first_line ? State(0) : raw[1] * inverse;
        p[2] = first_line || last_row ? State(0) : raw[2] * inverse;
    }

    static __device__ __forceinline__ State least(int norm) { return norm == MAX1 ? State(1) : State(1e-6); }

    // Gradient d of the weights, zero where they are masked, to that of the raw gates.
    __device__ __forceinline__ void gradient(State (&out)[3], const State (&d)[3], int norm) const {
        const State sum = (d[0] * raw[0] + d[1] * raw[1] + d[2] * raw[2]) * inverse * inverse;
        const State along = norm != NONE && total >= least(norm) ? sum : State(0);
#pragma unroll
        for (int k = 0; k < 3; ++k)
            out[k] = d[k] * inverse - (raw[k] > State(0) ? along : raw[k] < State(0) ? -along : State(0));
    }
};

// values[v] of the row before and of the row after, rows of a lane 32 apart. Where the neighbour belongs to another
// warp the result is `lower` or `upper`.
template <int ROWS, class State>
__device__ __forceinline__ void row_before(State (&out)[ROWS], const State (&values)[ROWS], State lower, int lane) {
    State turned[ROWS];
#pragma unroll
    for (int v = 0; v < ROWS; ++v) turned[v] = __shfl_sync(ALL_LANES, values[v], (lane + LANES - 1) % LANES);
#pragma unroll
    for (int v = 0; v < ROWS; ++v) out[v] = lane > 0 ? turned[v] : v > 0 ? turned[v > 0 ? v - 1 : 0] : lower;
}

template <int ROWS, class State>
__device__ __forceinline__ void row_after(State (&out)[ROWS], const State (&values)[ROWS], State upper, int lane) {
    State turned[ROWS];
#pragma unroll
    for (int v = 0; v < ROWS; ++v) turned[v] = __shfl_sync(ALL_LANES, values[v], (lane + 1) % LANES);
#pragma unroll
    for (int v = 0; v < ROWS; ++v)
        out[v] = lane < LANES - 1 ? turned[v] : v < ROWS - 1 ? turned[v < ROWS - 1 ? v + 1 : v] : upper;
}

template <class Storage, int OPERATION, int ROWS, int CHANNELS, int DEPTH, bool ONE_WARP>
struct Scan {
    using Stored = typename Storage::Stored;
    using State = typename Storage::State;
    static constexpr int IMAGES = OPERATION == BACKWARD ? 3 : 1;
    static constexpr int H_IMAGE = IMAGES - 1;  // of BACKWARD; read one line ahead, at the line that the scan came from
    static constexpr bool HALO = OPERATION == BACKWARD && !ONE_WARP;
    // Pieces of the first tile that are loaded at once, as many as the registers hold: each batch waits for memory.
    static constexpr int HELD = (IMAGES * CHANNELS + 3) * ROWS, ROOM = ONE_WARP ? 128 : 40;
    static constexpr int FILL = 8 * HELD <= ROOM ? 8 : 4 * HELD <= ROOM ? 4 : 2 * HELD <= ROOM ? 2 : 1;

    // What a thread holds of one step to come: of the line itself, or of a piece of the next tile.
    struct Ahead {
        Stored image[IMAGES][CHANNELS][ROWS];
        Stored gates[3][ROWS];
        Stored halo[CHANNELS];  // h beyond the warp's rows, in lanes 0 and 31
    };

    // The item, from its first channel.
    const Stored* image[IMAGES];
    const Stored* gates;
    Stored* out;
    Stored* gates_out;
    State* gates_part;  // instead of gates_out where several chunks add up
    int area;           // of a plane
    int channels, length, steps, norm;
    int row_stride, step_stride, gate_row_stride, gate_step_stride;
    bool descending;
    bool image_tiled, gates_tiled;

    // The thread. It computes rows `row(v)`; those past the end have inputs that do not count and are masked.
    int lane, warp, warps, first_row;

    // Shared memory: two tiles, then borders[2][warps][CHANNELS][2]. A tile has a plane of cells for each image of each
    // channel and then for each gate, `pitch` cells a row. A thread always moves the same column of a tile; piece j is
    // rows piece_row(j, v).
    Stored* tiles;
    State* borders;
    int tile_bits, tile_cells, plane_cells, gate_cells, pitch;
    int piece_column, piece_first, piece_rows;

    // The state: h of the last line, or what it passes back but for the warp's borders.
    State hidden[CHANNELS][ROWS];

    __device__ __forceinline__ bool place(const Call& call, unsigned char* shared) {
        lane = threadIdx.x % LANES;
        warp = ONE_WARP ? 0 : threadIdx.x / LANES;
        warps = ONE_WARP ? 1 : blockDim.x / LANES;
        first_row = warp * LANES * ROWS + lane;
        const int local = ONE_WARP ? threadIdx.x / LANES : 0;
        int item = ONE_WARP ? blockIdx.x * (blockDim.x / LANES) + local : blockIdx.x;
        if (item >= call.way_count * call.units * call.chunks) return false;

        const int chunk = item % call.chunks;
        item /= call.chunks;
        const int unit = item % call.units;
        const Way& way = call.ways[item / call.units];
        const int first_channel = chunk * CHANNELS;
        channels = call.channels - first_channel < CHANNELS ? call.channels - first_channel : CHANNELS;
        const bool horizontal = way.horizontal;
        area = call.height * call.width;
        length = horizontal ? call.height : call.width;
        steps = horizontal ? call.width : call.height;
        norm = call.norm;
        descending = (way.reverse != 0) != (OPERATION != FORWARD);
        row_stride = horizontal ? call.width : 1;
        step_stride = horizontal ? 1 : call.width;
        const bool in_order = !horizontal || call.scanned;
        gate_row_stride = in_order ? 1 : call.width;
        gate_step_stride = in_order ? length : 1;

        const long long plane = (static_cast<long long>(unit) * call.channels + first_channel) * area;
        const long long gate_plane = static_cast<long long>(unit) * 3 * area;
#pragma unroll
        for (int a = 0; a < IMAGES; ++a) image[a] = static_cast<const Stored*>(way.images[a]) + plane;
        gates = static_cast<const Stored*>(way.gates) + gate_plane;
        out = static_cast<Stored*>(way.out) + plane;
        gates_out = nullptr;
        gates_part = nullptr;
        if (OPERATION == BACKWARD && call.chunks == 1) gates_out = static_cast<Stored*>(way.gates_out) + gate_plane;
        if (OPERATION == BACKWARD && call.chunks > 1)
            gates_part = static_cast<State*>(way.gates_out) + chunk * (3LL * call.units * area) + gate_plane;
        place_tiles(call, horizontal, shared + local * call.item_bytes);
        return true;
    }

    __device__ __forceinline__ void place_tiles(const Call& call, bool horizontal, unsigned char* shared) {
        image_tiled = horizontal && call.image_tiled;
        gates_tiled = horizontal && call.gates_tiled;
        borders = reinterpret_cast<State*>(shared);
        tiles = reinterpret_cast<Stored*>(shared + (ONE_WARP ? 0 : 2 * warps * CHANNELS * 2 * sizeof(State)));
        tile_bits = call.tile_bits;
        pitch = (1 << tile_bits) + (sizeof(Stored) == 2 ? 2 : 1);  // an odd number of words: no two rows in one bank
        plane_cells = length * pitch;
        gate_cells = image_tiled ? IMAGES * (call.channels < CHANNELS ? call.channels : CHANNELS) * plane_cells : 0;
        tile_cells = gate_cells + (gates_tiled ? 3 * plane_cells : 0);
        const int rank = warp * LANES + lane;
        piece_column = rank & ((1 << tile_bits) - 1);
        piece_first = rank >> tile_bits;
        piece_rows = warps * LANES >> tile_bits;
    }

    // Channel 0 is always there, which the compiler cannot see.
    __device__ __forceinline__ bool has(int c) const { return c == 0 || c < channels; }
    __device__ __forceinline__ long long planes(int count) const { return static_cast<long long>(count) * area; }
    __device__ __forceinline__ int row(int v) const { return first_row + v * LANES; }
    __device__ __forceinline__ int clamped(int i) const { return i < length ? i : length - 1; }
    __device__ __forceinline__ int line(int step) const {
        const int inside = step < steps ? step : steps - 1;
        return descending ? steps - 1 - inside : inside;
    }

    __device__ __forceinline__ int piece_row(int step, int v) const {
        return piece_first + ((step & ((1 << tile_bits) - 1)) * ROWS + v) * piece_rows;
    }
    // First cell of a tile.
    __device__ __forceinline__ int tile_at(int tile) const { return (tile & 1) * tile_cells; }
    // First cell of the column of a step.
    __device__ __forceinline__ int column_at(int step) const {
        return tile_at(step >> tile_bits) + (step & ((1 << tile_bits) - 1));
    }
    // From a cell of the first plane to that of image a of channel c, or of gate k.
    __device__ __forceinline__ int image_plane(int a, int c) const { return (c * IMAGES + a) * plane_cells; }
    __device__ __forceinline__ int gate_plane(int k) const { return gate_cells + k * plane_cells; }

    // Takes in what step `step` needs: its line, or of arrays that go through tiles the piece that the step moves, which
    // belongs to the tile behind the one that holds the step. Steps and rows past the end repeat the last; a step below
    // zero moves a piece of the first tile.
    __device__ __forceinline__ void fetch(Ahead& ahead, int step) const {
        const int behind = (((step >> tile_bits) + 1) << tile_bits) + piece_column;
        const int own_step = step < 0 ? 0 : step;
        const int image_step = image_tiled ? behind : own_step, gate_step = gates_tiled ? behind : own_step;
        const int image_line = line(image_step) * step_stride, h_line = line(image_step + 1) * step_stride;
        const int gate_line = line(gate_step) * gate_step_stride;
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            const int own = clamped(row(v)), moved = clamped(piece_row(step, v));
            const int image_row = (image_tiled ? moved : own) * row_stride;
            const int gate_at = gate_line + (gates_tiled ? moved : own) * gate_row_stride;
#pragma unroll
            for (int k = 0; k < 3; ++k) ahead.gates[k][v] = input(gates + planes(k) + gate_at);
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) {
                if (!has(c)) continue;
#pragma unroll
                for (int a = 0; a < IMAGES; ++a) {
                    const int at = (OPERATION == BACKWARD && a == H_IMAGE ? h_line : image_line) + image_row;
                    ahead.image[a][c][v] = input(image[a] + planes(c) + at);
                }
            }
        }
        if (HALO && !image_tiled) {
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c)
                if (has(c)) ahead.halo[c] = input(image[H_IMAGE] + planes(c) + h_line + halo_row() * row_stride);
        }
    }

    // The row beyond the warp's that its first and its last lane need.
    __device__ __forceinline__ int halo_row() const {
        const int base = warp * LANES * ROWS;
        return clamped(lane > 0 ? base + LANES * ROWS : base > 0 ? base - 1 : 0);
    }

    // Moves the cells of a step's piece: results of the tile before go out, the inputs of the tile behind come in.
    __device__ __forceinline__ void turn_tiles(const Ahead& ahead, int step) const {
        if (!image_tiled && !gates_tiled) return;
        const int tile = step >> tile_bits;
        if (tile > 0) send(tile - 1, step);
        Stored* behind = tiles + tile_at(tile + 1) + piece_column;
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            const int i = piece_row(step, v);
            if (i >= length) continue;
            if (image_tiled) {
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) {
                    if (!has(c)) continue;
#pragma unroll
                    for (int a = 0; a < IMAGES; ++a) behind[image_plane(a, c) + i * pitch] = ahead.image[a][c][v];
                }
            }
            if (gates_tiled) {
#pragma unroll
                for (int k = 0; k < 3; ++k) behind[gate_plane(k) + i * pitch] = ahead.gates[k][v];
            }
        }
    }

    // Sends the results in a tile's piece to memory; the piece is that of `step`, whichever tile that is in.
    __device__ __forceinline__ void send(int tile, int step) const {
        const int source = (tile << tile_bits) + piece_column;
        if (source >= steps) return;
        const Stored* cells = tiles + tile_at(tile) + piece_column;
        const int image_line = line(source) * step_stride, gate_line = line(source) * gate_step_stride;
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            const int i = piece_row(step, v);
            if (i >= length) continue;
            if (image_tiled) {
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c)
                    if (has(c)) out[planes(c) + image_line + i * row_stride] = cells[image_plane(0, c) + i * pitch];
            }
            if (OPERATION == BACKWARD && gates_tiled && gates_out != nullptr) {
#pragma unroll
                for (int k = 0; k < 3; ++k)
                    gates_out[planes(k) + gate_line + i * gate_row_stride] = cells[gate_plane(k) + i * pitch];
            }
        }
    }

    // Fills the first tile; later ones are filled step by step. Needs a meeting before it is read.
    __device__ __forceinline__ void fill_first_tile() const {
        if (!image_tiled && !gates_tiled) return;
        for (int step = -(1 << tile_bits); step < 0; step += FILL) {
            Ahead pieces[FILL];
#pragma unroll
            for (int d = 0; d < FILL; ++d)
                if (step + d < 0) fetch(pieces[d], step + d);
#pragma unroll
            for (int d = 0; d < FILL; ++d)
                if (step + d < 0) turn_tiles(pieces[d], step + d);
        }
    }

    // After the last step: what turn_tiles has not sent yet.
    __device__ __forceinline__ void send_last_tiles() const {
        if (!image_tiled && !gates_tiled) return;
        const int last = (steps - 1) >> tile_bits, columns = 1 << tile_bits;
        for (int step = ((steps - 1) & (columns - 1)) + 1; last > 0 && step < columns; ++step) send(last - 1, step);
        for (int step = 0; step < columns; ++step) send(last, step);
    }

    // What a column of a tile holds for a row of this thread. Rows past the end have no cell, and must not look at the
    // last row's: its thread may be writing the result there.
    __device__ __forceinline__ State own_cell(const Stored* column, int v) const {
        return row(v) < length ? Storage::open(column[row(v) * pitch]) : State(0);
    }

    // The inputs of a step, from the ring or from its column of the tile.
    __device__ __forceinline__ void read_images(State (&values)[IMAGES][CHANNELS][ROWS], State (&halo)[CHANNELS],
                                                const Ahead& ahead, int step) const {
        const Stored* cells = tiles + column_at(step);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            if (!has(c)) continue;
            if (image_tiled) {
#pragma unroll
                for (int a = 0; a < IMAGES; ++a)
#pragma unroll
                    for (int v = 0; v < ROWS; ++v)
                        values[a][c][v] = own_cell(cells + image_plane(a, c), v);
                if (HALO) halo[c] = Storage::open(cells[image_plane(H_IMAGE, c) + halo_row() * pitch]);
            } else {
#pragma unroll
                for (int a = 0; a < IMAGES; ++a)
#pragma unroll
                    for (int v = 0; v < ROWS; ++v) values[a][c][v] = Storage::open(ahead.image[a][c][v]);
                if (HALO) halo[c] = Storage::open(ahead.halo[c]);
            }
            if (!HALO) halo[c] = State(0);
        }
    }

    __device__ __forceinline__ void read_weights(Weights<State> (&weights)[ROWS], const Ahead& ahead, int step) const {
        const bool first_line = step == (OPERATION == FORWARD ? 0 : steps - 1);
        const Stored* cells = tiles + column_at(step);
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            State raw[3];
#pragma unroll
            for (int k = 0; k < 3; ++k)
                raw[k] = gates_tiled ? own_cell(cells + gate_plane(k), v) : Storage::open(ahead.gates[k][v]);
            weights[v].set(raw, norm, first_line || row(v) >= length, row(v) == 0, row(v) == length - 1);
        }
    }

    __device__ __forceinline__ void put(int step, int c, const State (&values)[ROWS]) const {
        Stored* cells = tiles + column_at(step) + image_plane(0, c);
        Stored* memory = out + planes(c) + line(step) * step_stride;
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            if (row(v) >= length) continue;
            if (image_tiled) {
                cells[row(v) * pitch] = Storage::close(values[v]);
            } else {
                memory[row(v) * row_stride] = Storage::close(values[v]);
            }
        }
    }

    __device__ __forceinline__ void put_gates(int step, int v, const State (&values)[3]) const {
        if (row(v) >= length) return;
        const int at = line(step) * gate_step_stride + row(v) * gate_row_stride;
        Stored* cells = tiles + column_at(step) + row(v) * pitch;
#pragma unroll
        for (int k = 0; k < 3; ++k) {
            if (gates_part != nullptr) {
                gates_part[planes(k) + at] = values[k];
            } else if (gates_tiled) {
                cells[gate_plane(k)] = Storage::close(values[k]);
            } else {
                gates_out[planes(k) + at] = Storage::close(values[k]);
            }
        }
    }

    // What the neighbouring warps passed in the step before: to the warp's first row (lane 0) and to its last (lane 31).
    __device__ __forceinline__ State border(int step, int c) const {
        if (ONE_WARP || step == 0) return State(0);
        const State* passed = borders + ((step - 1) & 1) * (warps * CHANNELS * 2);
        if (lane == 0 && warp > 0) return passed[((warp - 1) * CHANNELS + c) * 2 + 1];
        if (lane == LANES - 1 && warp + 1 < warps) return passed[((warp + 1) * CHANNELS + c) * 2];
        return State(0);
    }

    __device__ __forceinline__ void pass(int step, int c, State down, State up) const {
        if (ONE_WARP) return;
        State* passed = borders + (step & 1) * (warps * CHANNELS * 2) + (warp * CHANNELS + c) * 2;
        if (lane == 0) passed[0] = down;
        if (lane == LANES - 1) passed[1] = up;
    }

    __device__ __forceinline__ void step_forward(const Weights<State> (&weights)[ROWS], const State (&x)[ROWS], int step,
                                                 int c) {
        State before[ROWS], after[ROWS];
        const State beyond = border(step, c);
        row_before<ROWS>(before, hidden[c], beyond, lane);
        row_after<ROWS>(after, hidden[c], beyond, lane);
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            const State(&p)[3] = weights[v].p;
            State h = x[v] + p[0] * (before[v] - x[v]);
            h += p[1] * (hidden[c][v] - x[v]);
            h += p[2] * (after[v] - x[v]);
            hidden[c][v] = h;
        }
        put(step, c, hidden[c]);
        pass(step, c, hidden[c][0], hidden[c][ROWS - 1]);
    }

    // Adds to `gradient` what the step before passed to this line.
    __device__ __forceinline__ void step_back(const Weights<State> (&weights)[ROWS], State (&gradient)[ROWS], int step,
                                              int c) {
        const State beyond = border(step, c);
        State to_before[ROWS], to_after[ROWS], through[ROWS];
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            gradient[v] += hidden[c][v];
            if ((v == 0 && lane == 0) || (v == ROWS - 1 && lane == LANES - 1)) gradient[v] += beyond;
            const State(&p)[3] = weights[v].p;
            through[v] = gradient[v] - (p[0] + p[1] + p[2]) * gradient[v];
            to_before[v] = p[0] * gradient[v];
            hidden[c][v] = p[1] * gradient[v];
            to_after[v] = p[2] * gradient[v];
        }
        put(step, c, through);
        pass(step, c, to_before[0], to_after[ROWS - 1]);
        State arriving[ROWS];
        row_after<ROWS>(arriving, to_before, State(0), lane);
#pragma unroll
        for (int v = 0; v < ROWS; ++v) hidden[c][v] += arriving[v];
        row_before<ROWS>(arriving, to_after, State(0), lane);
#pragma unroll
        for (int v = 0; v < ROWS; ++v) hidden[c][v] += arriving[v];
    }

    __device__ __forceinline__ void advance(Ahead& ahead, int step) {
        // Addresses are cheaper computed again than kept for every row: registers are what prefetching is made of.
        forget(first_row);
        forget(piece_first);
        forget(area);
        State values[IMAGES][CHANNELS][ROWS], halo[CHANNELS];
        Weights<State> weights[ROWS];
        read_weights(weights, ahead, step);
        read_images(values, halo, ahead, step);
        turn_tiles(ahead, step);
        fetch(ahead, step + DEPTH);
        State d[ROWS][3] = {};
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            if (!has(c)) continue;
            if (OPERATION == FORWARD) step_forward(weights, values[0][c], step, c);
            if (OPERATION != FORWARD) step_back(weights, values[0][c], step, c);
            if (OPERATION == BACKWARD) add_weight_gradients(d, values, halo[c], c);
        }
        if (OPERATION == BACKWARD) put_gate_gradients(d, weights, step);
    }

    __device__ __forceinline__ void add_weight_gradients(State (&d)[ROWS][3],
                                                         const State (&values)[IMAGES][CHANNELS][ROWS], State halo,
                                                         int c) const {
        const State(&gradient)[ROWS] = values[0][c];
        const State(&x)[ROWS] = values[IMAGES / 2][c];
        const State(&h)[ROWS] = values[H_IMAGE][c];
        State before[ROWS], after[ROWS];
        row_before<ROWS>(before, h, halo, lane);
        row_after<ROWS>(after, h, halo, lane);
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            d[v][0] += gradient[v] * (before[v] - x[v]);
            d[v][1] += gradient[v] * (h[v] - x[v]);
            d[v][2] += gradient[v] * (after[v] - x[v]);
        }
    }

    __device__ __forceinline__ void put_gate_gradients(State (&d)[ROWS][3], const Weights<State> (&weights)[ROWS],
                                                       int step) const {
        const bool first_line = step == steps - 1;
#pragma unroll
        for (int v = 0; v < ROWS; ++v) {
            if (first_line || row(v) == 0) d[v][0] = State(0);
            if (first_line) d[v][1] = State(0);
            if (first_line || row(v) == length - 1) d[v][2] = State(0);
            State raw[3];
            weights[v].gradient(raw, d[v], norm);
            put_gates(step, v, raw);
        }
    }

    __device__ __forceinline__ void run(const Call& call, unsigned char* shared) {
        // Only whole warps leave here, and only where no barrier waits for them.
        if (!place(call, shared)) return;
        fill_first_tile();
        Ahead ring[DEPTH];
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) fetch(ring[d], d);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c)
#pragma unroll
            for (int v = 0; v < ROWS; ++v) hidden[c][v] = State(0);
        meet<ONE_WARP>();  // the first tile is whole
        for (int start = 0; start < steps; start += DEPTH) {
#pragma unroll
            for (int d = 0; d < DEPTH; ++d) {
                if (start + d < steps) {
                    advance(ring[d], start + d);
                    meet<ONE_WARP>();  // borders passed, pieces turned, results in their cells
                }
            }
        }
        send_last_tiles();
    }
};

#define SCAN_KERNEL(name, Storage, operation, rows, channels, depth, one_warp, threads) \
    KERNEL(name, threads, Call) {                                                       \
        SHARED_MEMORY(shared);                                                          \
        Scan<Storage, operation, rows, channels, depth, one_warp> scan;                 \
        scan.run(call, shared);                                                         \
    }
