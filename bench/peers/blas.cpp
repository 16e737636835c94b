#include "bench/peers/blas.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace loglog::bench {

std::optional<Blas> Blas::load(const std::string& path, std::string name, const char* set_threads) {
  if (path.empty()) return {};
  Blas blas;
  blas.library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (blas.library_ == nullptr) return {};
  blas.name_ = std::move(name);
  blas.sgemm_ = reinterpret_cast<Sgemm>(dlsym(blas.library_, "cblas_sgemm"));
  blas.set_threads_ = reinterpret_cast<void (*)(int)>(dlsym(blas.library_, set_threads));
  if (blas.sgemm_ == nullptr || blas.set_threads_ == nullptr) return {};
  return blas;
}

std::optional<Blas> Blas::openblas(const std::string& path, int threads, bool avx2_only) {
  if (avx2_only) setenv("OPENBLAS_CORETYPE", "Haswell", 1);
  std::optional<Blas> blas = load(path, "OpenBLAS", "openblas_set_num_threads");
  if (!blas) return {};
  if (const auto core = reinterpret_cast<const char* (*)()>(dlsym(blas->library_, "openblas_get_corename")))
    blas->kernels_ = core();
  blas->set_threads(threads);
  return blas;
}

std::optional<Blas> Blas::blis(const std::string& path, int threads, bool avx2_only) {
  std::optional<Blas> blas = load(path, "BLIS", "bli_thread_set_num_threads");
  if (!blas) return {};
  const auto id = reinterpret_cast<int (*)()>(dlsym(blas->library_, "bli_arch_query_id"));
  const auto text = reinterpret_cast<const char* (*)(int)>(dlsym(blas->library_, "bli_arch_string"));
  if (id == nullptr || text == nullptr) return {};
  blas->kernels_ = text(id());
  if (avx2_only && (blas->kernels_ == "skx" || blas->kernels_ == "knl")) return {};
  blas->set_threads(threads);
  return blas;
}

void Blas::sgemm(ConstMatrix<float> a, ConstMatrix<float> b, float* c) const {
  constexpr int kRowMajor = 101, kAsIs = 111, kTransposed = 112;
  const auto order = [](const ConstMatrix<float>& x) { return x.col_stride == 1 ? kAsIs : kTransposed; };
  const auto lead = [](const ConstMatrix<float>& x) {
    return static_cast<int>(x.col_stride == 1 ? x.row_stride : x.col_stride);
  };
  sgemm_(kRowMajor, order(a), order(b), static_cast<int>(a.rows), static_cast<int>(b.cols),
         static_cast<int>(a.cols), 1.0f, a.data, lead(a), b.data, lead(b), 0.0f, c, static_cast<int>(b.cols));
}

}  // namespace loglog::bench
