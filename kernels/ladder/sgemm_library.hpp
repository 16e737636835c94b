// The float32 product of other libraries, where they are installed. OpenBLAS and BLIS both export cblas_sgemm, so nothing is
// linked: each is loaded with names of its own (dlopen, RTLD_LOCAL), and what it calls by an exported name is found in itself,
// since this program exports none of them.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/matrix.hpp"

namespace loglog::kernels::ladder {

// All of them choose kernels for this CPU. Under avx2_only OpenBLAS is made to take those of Haswell and oneDNN those of AVX2; BLIS
// is left out where it chose AVX-512 (version 0.9 ends the process when BLIS_ARCH_TYPE names another, whichever that is).
class SgemmLibrary {
 public:
  // Nothing when it cannot be loaded.
  static std::optional<SgemmLibrary> openblas(int threads, bool avx2_only);
  static std::optional<SgemmLibrary> blis(int threads, bool avx2_only);
  static std::optional<SgemmLibrary> onednn(int threads, bool avx2_only);

  const char* name() const { return name_; }
  const std::string& kernels() const { return kernels_; }  // what it chose for this CPU, if it says so
  void set_threads(int threads) const { set_threads_(threads); }
  // c = a b, row by row without gaps. Any operand may be transposed.
  void operator()(ConstMatrixRef a, ConstMatrixRef b, float* c) const { sgemm_(a, b, c); }

 private:
  const char* name_ = "";
  std::string kernels_;
  std::function<void(int)> set_threads_;
  std::function<void(const ConstMatrixRef&, const ConstMatrixRef&, float*)> sgemm_;
};

std::vector<SgemmLibrary> sgemm_libraries(int threads, bool avx2_only);

}  // namespace loglog::kernels::ladder
