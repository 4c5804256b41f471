// What the scans' kernels share: their argument, the barrier of an item's threads, gates to weights and back, and the
// neighbours of a row.

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
