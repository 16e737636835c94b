// Measured ceilings of this machine: what the best possible kernel of an ISA could reach.
//
//   fma        multiply-adds of float32 on registers      FLOP/s, two per multiply-add
//   dot_bf16   the ISA's products of bfloat16, float sums FLOP/s; those of float32 where bfloat16 is widened
//   dot_s8     its products of int8, int32 sums           operations/s, two per product; widening costs extra
//   read       sums over a buffer                         bytes/s read
//   copy       one buffer to another                      bytes/s read plus bytes/s written, with cached or with streamed
//                                                      stores, whichever is faster at this size
//
// Shapes     buffers of `bytes` per thread, allocated, touched and released inside. bytes >= 4096.
// Strides    none.
// Alignment  none.
// Aliasing   none.
// Reads      nothing of the caller's.
// Rounding   none. Each call is one sample of about `seconds`; clocks and neighbours disturb it, so callers take
//            several: the best as a ceiling, the median beside a kernel that is timed in the same run.
// Order      all threads work at the same time between two barriers; the slowest one counts. Rates are those of the
//            threads that ran, which may be fewer than `threads` (threads.hpp).
// Errors     ContractError for threads < 1, seconds <= 0 or too few bytes; std::bad_alloc.
#pragma once
#include <cstddef>

namespace loglog::kernels {

struct KernelTable;

double sample_fma_flops(const KernelTable& table, int threads, double seconds = 0.01);
double sample_dot_bf16_flops(const KernelTable& table, int threads, double seconds = 0.01);
double sample_dot_s8_ops(const KernelTable& table, int threads, double seconds = 0.01);
double sample_read_bytes(const KernelTable& table, int threads, std::size_t bytes, double seconds = 0.02);
double sample_copy_bytes(const KernelTable& table, int threads, std::size_t bytes, double seconds = 0.02);

}  // namespace loglog::kernels
