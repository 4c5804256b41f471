// Local matching (propagation/matching.py): one thread a pixel, which looks at the pixels around it in another picture.

struct Match {
    const float* wanted;    // batch, FEATURES, height, width
    const float* offered;   // batch, FEATURES, height + reach - 1, width + reach - 1
    const float* values;    // batch, CHANNELS, of the same size as offered
    const float* nearness;  // reach * reach: what an offset weighs beforehand
    float* out;             // batch, CHANNELS, height, width
    int batch, height, width, reach;
};

template <int FEATURES, int CHANNELS>
__device__ __forceinline__ void match_pixel(const Match& call) {
    const long long area = static_cast<long long>(call.height) * call.width;
    const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= call.batch * area) return;
    const long long batch = at / area, pixel = at % area;
    const int y = static_cast<int>(pixel / call.width), x = static_cast<int>(pixel % call.width);
    const int pitch = call.width + call.reach - 1;
    const long long around = static_cast<long long>(call.height + call.reach - 1) * pitch;
    const float* offered = call.offered + batch * FEATURES * around;
    const float* values = call.values + batch * CHANNELS * around;
    float wanted[FEATURES], found[CHANNELS] = {}, total = 0.f;
#pragma unroll
    for (int f = 0; f < FEATURES; ++f) wanted[f] = input(call.wanted + (batch * FEATURES + f) * area + pixel);
    for (int dy = 0; dy < call.reach; ++dy) {
        for (int dx = 0; dx < call.reach; ++dx) {
            const long long there = static_cast<long long>(y + dy) * pitch + x + dx;
            float distance = 1.f;
#pragma unroll
            for (int f = 0; f < FEATURES; ++f) {
                const float apart = wanted[f] - input(offered + f * around + there);
                distance += apart * apart;
            }
            const float weight = input(call.nearness + dy * call.reach + dx) / (distance * distance * distance * distance);
            total += weight;
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) found[c] += weight * input(values + c * around + there);
        }
    }
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) call.out[(batch * CHANNELS + c) * area + pixel] = found[c] / total;
}

#define MATCH_KERNEL(name, threads, features, channels) \
    KERNEL(name, threads, Match) { match_pixel<features, channels>(call); }
