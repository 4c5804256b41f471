// Scans of lines that are too long for the registers of a block. The same operator, Call and order of work as
// cuda_scan.cu, one channel an item; the state of the last line and of this one lies in global memory, which the barrier
// of each step orders among the threads of a block. Simple, not fast: lines this long are rare.

template <class Storage, int OPERATION>
struct LongScan {
    using Stored = typename Storage::Stored;
    using State = typename Storage::State;
    // State lines a step: h, or what it passes to the row before, the same row and the row after.
    static constexpr int KEPT = OPERATION == FORWARD ? 1 : 3;

    const Stored* image[3];
    const Stored* gates;
    Stored* out;
    Stored* gates_out;
    State* gates_part;
    State* state;
    long long area;
    int length, steps, norm;
    int row_stride, step_stride, gate_row_stride, gate_step_stride;
    bool descending;

    __device__ __forceinline__ void place(const Call& call) {
        int item = blockIdx.x;
        const int channel = item % call.chunks;
        item /= call.chunks;
        const int unit = item % call.units;
        const Way& way = call.ways[item / call.units];
        area = static_cast<long long>(call.height) * call.width;
        length = way.horizontal ? call.height : call.width;
        steps = way.horizontal ? call.width : call.height;
        norm = call.norm;
        descending = (way.reverse != 0) != (OPERATION != FORWARD);
        row_stride = way.horizontal ? call.width : 1;
        step_stride = way.horizontal ? 1 : call.width;
        const bool in_order = !way.horizontal || call.scanned;
        gate_row_stride = in_order ? 1 : call.width;
        gate_step_stride = in_order ? length : 1;

        const long long plane = (static_cast<long long>(unit) * call.channels + channel) * area;
        const long long gate_plane = static_cast<long long>(unit) * 3 * area;
        for (int a = 0; a < 3; ++a)
            image[a] = way.images[a] == nullptr ? nullptr : static_cast<const Stored*>(way.images[a]) + plane;
        gates = static_cast<const Stored*>(way.gates) + gate_plane;
        out = static_cast<Stored*>(way.out) + plane;
        gates_out = nullptr;
        gates_part = nullptr;
        if (OPERATION == BACKWARD && call.chunks == 1) gates_out = static_cast<Stored*>(way.gates_out) + gate_plane;
        if (OPERATION == BACKWARD && call.chunks > 1)
            gates_part = static_cast<State*>(way.gates_out) + channel * (3LL * call.units * area) + gate_plane;
        const int longest = call.height > call.width ? call.height : call.width;
        state = static_cast<State*>(call.state) + static_cast<long long>(blockIdx.x) * 2 * KEPT * longest;
    }

    // State line `kept` of a step.
    __device__ __forceinline__ State* kept(int step, int which) const {
        return state + static_cast<long long>((step & 1) * KEPT + which) * length;
    }

    __device__ __forceinline__ State value(const Stored* plane, int line, int i) const {
        return Storage::open(input(plane + line * step_stride + i * row_stride));
    }

    __device__ __forceinline__ Weights<State> weights(int line, int i, bool first_line) const {
        State raw[3];
        for (int k = 0; k < 3; ++k)
            raw[k] = Storage::open(input(gates + k * area + line * gate_step_stride + i * gate_row_stride));
        Weights<State> result;
        result.set(raw, norm, first_line, i == 0, i == length - 1);
        return result;
    }

    __device__ __forceinline__ void row_forward(int step, int line, int i) const {
        const Weights<State> w = weights(line, i, step == 0);
        const State x = value(image[0], line, i);
        State h = x;
        if (step > 0) {
            const State* last = kept(step - 1, 0);
            if (i > 0) h += w.p[0] * (last[i - 1] - x);
            h += w.p[1] * (last[i] - x);
            if (i < length - 1) h += w.p[2] * (last[i + 1] - x);
        }
        kept(step, 0)[i] = h;
        out[line * step_stride + i * row_stride] = Storage::close(h);
    }

    __device__ __forceinline__ void row_back(int step, int line, int i) const {
        const bool first_line = step == steps - 1;
        const Weights<State> w = weights(line, i, first_line);
        State gradient = value(image[0], line, i);
        if (step > 0) {
            gradient += kept(step - 1, 1)[i];
            if (i < length - 1) gradient += kept(step - 1, 0)[i + 1];
            if (i > 0) gradient += kept(step - 1, 2)[i - 1];
        }
        for (int k = 0; k < 3; ++k) kept(step, k)[i] = w.p[k] * gradient;
        out[line * step_stride + i * row_stride] =
            Storage::close(gradient - (w.p[0] + w.p[1] + w.p[2]) * gradient);
        if (OPERATION == BACKWARD) gate_gradients(w, gradient, line, i, first_line);
    }

    __device__ __forceinline__ void gate_gradients(const Weights<State>& w, State gradient, int line, int i,
                                                   bool first_line) const {
        State d[3] = {};
        if (!first_line) {
            const int came = line + (descending ? -1 : 1);
            const State x = value(image[1], line, i);
            if (i > 0) d[0] = gradient * (value(image[2], came, i - 1) - x);
            d[1] = gradient * (value(image[2], came, i) - x);
            if (i < length - 1) d[2] = gradient * (value(image[2], came, i + 1) - x);
        }
        const int at = line * gate_step_stride + i * gate_row_stride;
        State raw[3];
        w.gradient(raw, d, norm);
        for (int k = 0; k < 3; ++k) {
            if (gates_part != nullptr) {
                gates_part[k * area + at] = raw[k];
            } else {
                gates_out[k * area + at] = Storage::close(raw[k]);
            }
        }
    }

    __device__ __forceinline__ void run(const Call& call) {
        place(call);
        for (int step = 0; step < steps; ++step) {
            const int line = descending ? steps - 1 - step : step;
            for (int i = threadIdx.x; i < length; i += blockDim.x) {
                if (OPERATION == FORWARD) {
                    row_forward(step, line, i);
                } else {
                    row_back(step, line, i);
                }
            }
            __syncthreads();  // this line's state is whole; the one before may be overwritten
        }
    }
};

#define LONG_KERNEL(name, Storage, operation, threads) \
    KERNEL(name, threads, Call) {                      \
        LongScan<Storage, operation> scan;             \
        scan.run(call);                                \
    }
