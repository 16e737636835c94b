// OpenBLAS and BLIS in one process. Both export cblas_sgemm, so neither is linked: each is loaded with names of its own
// (dlopen, RTLD_LOCAL), and what it calls by an exported name is found in itself, since the program exports none of them.
#pragma once
#include <optional>
#include <string>

#include "bench/operands.hpp"

namespace loglog::bench {

class Blas {
 public:
  // The library at `path`; nothing when it cannot be loaded. Both choose kernels for this CPU; under avx2_only OpenBLAS is
  // made to take those of Haswell, and BLIS is left out where it chose AVX-512 (version 0.9 ends the process when
  // BLIS_ARCH_TYPE names another, whichever that is).
  static std::optional<Blas> openblas(const std::string& path, int threads, bool avx2_only);
  static std::optional<Blas> blis(const std::string& path, int threads, bool avx2_only);

  const std::string& name() const { return name_; }
  const std::string& kernels() const { return kernels_; }  // what it chose for this CPU
  void set_threads(int threads) const { set_threads_(threads); }
  void sgemm(ConstMatrix<float> a, ConstMatrix<float> b, float* c) const;

 private:
  // The C interface, from its reference: all BLAS libraries have it.
  using Sgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                         const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
  static std::optional<Blas> load(const std::string& path, std::string name, const char* set_threads);

  std::string name_, kernels_;
  void* library_ = nullptr;  // stays loaded: its threads cannot be unloaded safely
  void (*set_threads_)(int) = nullptr;
  Sgemm sgemm_ = nullptr;
};

}  // namespace loglog::bench
