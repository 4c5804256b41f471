// The weighted merge of scans and its gradients, and the sum of the parts of gate gradients. One thread a few pixels;
// channels are summed by the thread that owns the pixel, in a fixed order.

constexpr int PIXELS = 4;  // of a thread, a block's width apart

struct Merge {
    const void* scans[4];
    const void* weights;  // units, 4, area
    const void* top;      // of SPLIT_KERNEL
    void* out;            // MERGE_KERNEL: the sum. SPLIT_KERNEL: the gradient of the weights
    void* parts[4];       // SPLIT_KERNEL: gradients of the scans
    long long area;
    int channels;     // that share a set of weights
    int unit_blocks;  // blocks that cover a plane
};

template <class Storage>
__device__ __forceinline__ const typename Storage::Stored* plane_of(const void* tensor, long long plane,
                                                                    long long area) {
    return static_cast<const typename Storage::Stored*>(tensor) + plane * area;
}

// First pixel of a thread in its plane; the others follow blockDim.x apart.
__device__ __forceinline__ long long first_pixel(int unit_blocks) {
    return static_cast<long long>(blockIdx.x % unit_blocks) * (PIXELS * blockDim.x) + threadIdx.x;
}

template <class Storage>
__device__ __forceinline__ void merge_pixels(const Merge& call) {
    using State = typename Storage::State;
    using Stored = typename Storage::Stored;
    const long long unit = blockIdx.x / call.unit_blocks;
    long long at = first_pixel(call.unit_blocks);
    for (int v = 0; v < PIXELS && at < call.area; ++v, at += blockDim.x) {
        State weights[4];
#pragma unroll
        for (int d = 0; d < 4; ++d)
            weights[d] = Storage::open(input(plane_of<Storage>(call.weights, unit * 4 + d, call.area) + at));
        for (int c = 0; c < call.channels; ++c) {
            const long long plane = unit * call.channels + c;
            State sum = State(0);
#pragma unroll
            for (int d = 0; d < 4; ++d)
                sum += weights[d] * Storage::open(input(plane_of<Storage>(call.scans[d], plane, call.area) + at));
            static_cast<Stored*>(call.out)[plane * call.area + at] = Storage::close(sum);
        }
    }
}

template <class Storage>
__device__ __forceinline__ void split_pixels(const Merge& call) {
    using State = typename Storage::State;
    using Stored = typename Storage::Stored;
    const long long unit = blockIdx.x / call.unit_blocks;
    long long at = first_pixel(call.unit_blocks);
    for (int v = 0; v < PIXELS && at < call.area; ++v, at += blockDim.x) {
        State weights[4], sums[4] = {};
#pragma unroll
        for (int d = 0; d < 4; ++d)
            weights[d] = Storage::open(input(plane_of<Storage>(call.weights, unit * 4 + d, call.area) + at));
        for (int c = 0; c < call.channels; ++c) {
            const long long plane = unit * call.channels + c;
            const State top = Storage::open(input(plane_of<Storage>(call.top, plane, call.area) + at));
#pragma unroll
            for (int d = 0; d < 4; ++d) {
                sums[d] += top * Storage::open(input(plane_of<Storage>(call.scans[d], plane, call.area) + at));
                static_cast<Stored*>(call.parts[d])[plane * call.area + at] = Storage::close(top * weights[d]);
            }
        }
#pragma unroll
        for (int d = 0; d < 4; ++d)
            static_cast<Stored*>(call.out)[(unit * 4 + d) * call.area + at] = Storage::close(sums[d]);
    }
}

// Parts of gate gradients, (chunks, size) in state type, to their sum in storage type; blockIdx.y is the direction.
struct Gather {
    const void* parts[4];
    void* out[4];
    long long size;
    int chunks;
};

template <class Storage>
__device__ __forceinline__ void gather_parts(const Gather& call) {
    using State = typename Storage::State;
    using Stored = typename Storage::Stored;
    const State* parts = static_cast<const State*>(call.parts[blockIdx.y]);
    Stored* out = static_cast<Stored*>(call.out[blockIdx.y]);
    long long at = static_cast<long long>(blockIdx.x) * (PIXELS * blockDim.x) + threadIdx.x;
    for (int v = 0; v < PIXELS && at < call.size; ++v, at += blockDim.x) {
        State sum = State(0);
        for (int chunk = 0; chunk < call.chunks; ++chunk) sum += input(parts + chunk * call.size + at);
        out[at] = Storage::close(sum);
    }
}

#define MERGE_KERNEL(name, Storage, threads) \
    KERNEL(name, threads, Merge) { merge_pixels<Storage>(call); }
#define SPLIT_KERNEL(name, Storage, threads) \
    KERNEL(name, threads, Merge) { split_pixels<Storage>(call); }
#define GATHER_KERNEL(name, Storage, threads) \
    KERNEL(name, threads, Gather) { gather_parts<Storage>(call); }
