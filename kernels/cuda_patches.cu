// The motion of square patches from one picture to another, for propagation/patch_flow.py, whose tensor operations say
// the same: one warp a patch, two of its pixels a lane, sums by shuffles in a fixed order, no memory but the results.

constexpr int PATCH = 8, STRIDE = 4;
constexpr int HELD = PATCH * PATCH / LANES;  // pixels of a lane

struct Patches {
    const float* source;  // batch, height, width
    const float* target;
    const float* start;   // SEARCH: the patches' motion so far: batch, rows, columns, 2
    float* motion;        // SEARCH writes it, MEAN reads it; in pixels, x first
    float* level;         // batch, rows, columns: by how much the target is brighter there; SEARCH writes, MEAN reads
    float* flow;          // MEAN: batch, 2, height, width
    int batch, height, width;
    int rows, columns;    // of patches; the first begins STRIDE pixels above and left of the picture
    int steps;
    float noise, equal;
};

__device__ __forceinline__ int held_inside(int at, int size) { return at < 0 ? 0 : at < size ? at : size - 1; }

// Bilinear, the border replicated.
__device__ __forceinline__ float between(const float* picture, float y, float x, int height, int width) {
    y = y > 0.f ? (y < height - 1 ? y : height - 1) : 0.f;
    x = x > 0.f ? (x < width - 1 ? x : width - 1) : 0.f;
    const int top = static_cast<int>(y), left = static_cast<int>(x);
    const int below = top + 1 < height ? top + 1 : top, right = left + 1 < width ? left + 1 : left;
    const float fy = y - top, fx = x - left;
    const float* upper = picture + static_cast<long long>(top) * width;
    const float* lower = picture + static_cast<long long>(below) * width;
    const float a = input(upper + left) * (1.f - fx) + input(upper + right) * fx;
    const float b = input(lower + left) * (1.f - fx) + input(lower + right) * fx;
    return a * (1.f - fy) + b * fy;
}

// The sum over a warp, the same in every lane.
__device__ __forceinline__ float over_lanes(float value, int lane) {
#pragma unroll
    for (int apart = LANES / 2; apart > 0; apart /= 2) value += __shfl_sync(ALL_LANES, value, lane ^ apart);
    return value;
}

struct PatchSearch {
    const float* target;
    int height, width, lane;
    int y[HELD], x[HELD];  // the lane's pixels, some beyond the border
    float wanted[HELD];    // the source less its mean
    float brightness;      // that mean
    float turn_x[HELD], turn_y[HELD];  // differences to motion

    __device__ __forceinline__ void place(const Patches& call, const float* source, int row, int column) {
        height = call.height;
        width = call.width;
        float gradient_x[HELD], gradient_y[HELD];
#pragma unroll
        for (int v = 0; v < HELD; ++v) {
            const int k = lane + v * LANES;
            y[v] = row * STRIDE - STRIDE + k / PATCH;
            x[v] = column * STRIDE - STRIDE + k % PATCH;
            wanted[v] = at(source, y[v], x[v]);
            gradient_x[v] = (at(source, y[v], x[v] + 1) - at(source, y[v], x[v] - 1)) * 0.5f;
            gradient_y[v] = (at(source, y[v] + 1, x[v]) - at(source, y[v] - 1, x[v])) * 0.5f;
        }
        brightness = mean(wanted);
        center(wanted);
        center(gradient_x);
        center(gradient_y);
        const float xx = product(gradient_x, gradient_x) + call.noise, yy = product(gradient_y, gradient_y) + call.noise;
        const float xy = product(gradient_x, gradient_y), scale = 1.f / (xx * yy - xy * xy);
#pragma unroll
        for (int v = 0; v < HELD; ++v) {
            turn_x[v] = (yy * gradient_x[v] - xy * gradient_y[v]) * scale;
            turn_y[v] = (xx * gradient_y[v] - xy * gradient_x[v]) * scale;
        }
    }

    __device__ __forceinline__ float at(const float* picture, int i, int j) const {
        return input(picture + static_cast<long long>(held_inside(i, height)) * width + held_inside(j, width));
    }
    __device__ __forceinline__ float product(const float (&a)[HELD], const float (&b)[HELD]) const {
        float sum = 0.f;
#pragma unroll
        for (int v = 0; v < HELD; ++v) sum += a[v] * b[v];
        return over_lanes(sum, lane);
    }
    __device__ __forceinline__ float mean(const float (&values)[HELD]) const {
        float sum = 0.f;
#pragma unroll
        for (int v = 0; v < HELD; ++v) sum += values[v];
        return over_lanes(sum, lane) * (1.f / (PATCH * PATCH));
    }
    __device__ __forceinline__ void center(float (&values)[HELD]) const {
        const float middle = mean(values);
#pragma unroll
        for (int v = 0; v < HELD; ++v) values[v] -= middle;
    }

    // The target where a motion leads, less what is wanted.
    __device__ __forceinline__ void differences(float (&off)[HELD], float mx, float my) const {
#pragma unroll
        for (int v = 0; v < HELD; ++v) off[v] = between(target, y[v] + my, x[v] + mx, height, width) - wanted[v];
    }
    __device__ __forceinline__ float cost(float mx, float my) const {
        float off[HELD];
        differences(off, mx, my);
        center(off);
        return product(off, off);
    }

    __device__ __forceinline__ void descend(float& mx, float& my, float began, int steps) const {
        float nx = mx, ny = my, off[HELD];
        for (int step = 0; step < steps; ++step) {
            differences(off, nx, ny);
            const float dx = product(off, turn_x), dy = product(off, turn_y);
            nx -= dx;
            ny -= dy;
        }
        const float far = (nx - mx) * (nx - mx) + (ny - my) * (ny - my);
        if (cost(nx, ny) < began && far < PATCH * PATCH) {  // alike in all lanes
            mx = nx;
            my = ny;
        }
    }
};

__device__ __forceinline__ void search_patch(const Patches& call) {
    const int patches = call.rows * call.columns;
    const long long warp = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) / LANES;
    if (warp >= static_cast<long long>(call.batch) * patches) return;  // whole warps
    const int batch = static_cast<int>(warp / patches), patch = static_cast<int>(warp % patches);
    const int row = patch / call.columns, column = patch % call.columns;
    const long long picture = static_cast<long long>(batch) * call.height * call.width;
    PatchSearch search;
    search.lane = threadIdx.x % LANES;
    search.target = call.target + picture;
    search.place(call, call.source + picture, row, column);

    const float* start = call.start + static_cast<long long>(batch) * patches * 2;
    float mx = 0.f, my = 0.f, least = 0.f;
    for (int n = 0; n < 9; ++n) {
        const int i = held_inside(row + n / 3 - 1, call.rows), j = held_inside(column + n % 3 - 1, call.columns);
        const float ox = input(start + (i * call.columns + j) * 2), oy = input(start + (i * call.columns + j) * 2 + 1);
        const float cost = search.cost(ox, oy);
        if (n == 0 || cost < least) {
            least = cost;
            mx = ox;
            my = oy;
        }
    }
    search.descend(mx, my, least, call.steps);
    float off[HELD];
    search.differences(off, mx, my);
    const float level = search.mean(off) - search.brightness;
    if (search.lane == 0) {
        call.motion[warp * 2] = mx;
        call.motion[warp * 2 + 1] = my;
        call.level[warp] = level;
    }
}

// One thread a pixel: the mean of the motions of the four patches that it lies in, by how well they fit it.
__device__ __forceinline__ void mean_of_patches(const Patches& call) {
    const int area = call.height * call.width;
    const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= static_cast<long long>(call.batch) * area) return;
    const int batch = static_cast<int>(at / area), pixel = static_cast<int>(at % area);
    const int y = pixel / call.width, x = pixel % call.width;
    const float* target = call.target + static_cast<long long>(batch) * area;
    const float own = input(call.source + at);
    float sum_x = 0.f, sum_y = 0.f, total = 0.f;
    for (int n = 0; n < 4; ++n) {
        const long long patch = (static_cast<long long>(batch) * call.rows + y / STRIDE + n / 2) * call.columns +
                                x / STRIDE + n % 2;
        const float mx = input(call.motion + patch * 2), my = input(call.motion + patch * 2 + 1);
        const float off = between(target, y + my, x + mx, call.height, call.width) - own - input(call.level + patch);
        const float size = off < 0.f ? -off : off;
        const float weight = 1.f / (size > call.equal ? size : call.equal);
        sum_x += weight * mx;
        sum_y += weight * my;
        total += weight;
    }
    float* flow = call.flow + static_cast<long long>(batch) * 2 * area + pixel;
    flow[0] = sum_x / total;
    flow[area] = sum_y / total;
}

#define SEARCH_KERNEL(name, threads) \
    KERNEL(name, threads, Patches) { search_patch(call); }
#define MEAN_KERNEL(name, threads) \
    KERNEL(name, threads, Patches) { mean_of_patches(call); }
