#include "kernels/ladder/sgemm_library.hpp"

#include <dlfcn.h>
#include <omp.h>

#include <cstdlib>

namespace loglog::kernels::ladder {
namespace {

// The C interfaces, from their references.
using CblasSgemm = void(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                        const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
using DnnlSgemm = int(char transpose_a, char transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                      float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                      float beta, float* c, std::int64_t ldc);

// The first of these that there is. It stays loaded: its threads cannot be unloaded safely.
void* load(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  return nullptr;
}

template <class Function>
Function* find(void* library, const char* name) {
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library, name));
}

bool is_plain(const ConstMatrixRef& x) {
  return x.col_stride == 1;
}
Index lead(const ConstMatrixRef& x) {
  return is_plain(x) ? x.row_stride : x.col_stride;
}

void call(CblasSgemm* sgemm, const ConstMatrixRef& a, const ConstMatrixRef& b, float* c) {
  constexpr int kRowMajor = 101, kAsIs = 111, kTransposed = 112;
  sgemm(kRowMajor, is_plain(a) ? kAsIs : kTransposed, is_plain(b) ? kAsIs : kTransposed,
        static_cast<int>(a.rows), static_cast<int>(b.cols), static_cast<int>(a.cols), 1.0f, a.data,
        static_cast<int>(lead(a)), b.data, static_cast<int>(lead(b)), 0.0f, c, static_cast<int>(b.cols));
}

}  // namespace

std::optional<SgemmLibrary> SgemmLibrary::openblas(int threads, bool avx2_only) {
  if (avx2_only) setenv("OPENBLAS_CORETYPE", "Haswell", 1);
  void* const library = load({"libopenblas.so.0", "libopenblas.dylib"});
  auto* const sgemm = find<CblasSgemm>(library, "cblas_sgemm");
  auto* const set_threads = find<void(int)>(library, "openblas_set_num_threads");
  if (sgemm == nullptr || set_threads == nullptr) return {};
  SgemmLibrary blas;
  blas.name_ = "OpenBLAS";
  if (auto* const core = find<const char*()>(library, "openblas_get_corename")) blas.kernels_ = core();
  blas.set_threads_ = set_threads;
  blas.sgemm_ = [sgemm](const auto& a, const auto& b, float* c) { call(sgemm, a, b, c); };
  blas.set_threads(threads);
  return blas;
}

std::optional<SgemmLibrary> SgemmLibrary::blis(int threads, bool avx2_only) {
  void* const library = load({"libblis.so.4", "libblis.dylib"});
  auto* const sgemm = find<CblasSgemm>(library, "cblas_sgemm");
  auto* const set_threads = find<void(int)>(library, "bli_thread_set_num_threads");
  auto* const id = find<int()>(library, "bli_arch_query_id");
  auto* const text = find<const char*(int)>(library, "bli_arch_string");
  if (sgemm == nullptr || set_threads == nullptr || id == nullptr || text == nullptr) return {};
  SgemmLibrary blas;
  blas.name_ = "BLIS";
  blas.kernels_ = text(id());
  if (avx2_only && (blas.kernels_ == "skx" || blas.kernels_ == "knl")) return {};
  blas.set_threads_ = set_threads;
  blas.sgemm_ = [sgemm](const auto& a, const auto& b, float* c) { call(sgemm, a, b, c); };
  blas.set_threads(threads);
  return blas;
}

std::optional<SgemmLibrary> SgemmLibrary::onednn(int threads, bool avx2_only) {
  if (avx2_only) setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  auto* const sgemm = find<DnnlSgemm>(load({"libdnnl.so.3", "libdnnl.so.2", "libdnnl.dylib"}), "dnnl_sgemm");
  if (sgemm == nullptr) return {};
  SgemmLibrary dnn;
  dnn.name_ = "oneDNN";
  dnn.set_threads_ = omp_set_num_threads;  // its threads are OpenMP's
  dnn.sgemm_ = [sgemm](const ConstMatrixRef& a, const ConstMatrixRef& b, float* c) {
    sgemm(is_plain(a) ? 'N' : 'T', is_plain(b) ? 'N' : 'T', a.rows, b.cols, a.cols, 1.0f, a.data, lead(a),
          b.data, lead(b), 0.0f, c, b.cols);
  };
  dnn.set_threads(threads);
  return dnn;
}

std::vector<SgemmLibrary> sgemm_libraries(int threads, bool avx2_only) {
  std::vector<SgemmLibrary> found;
  for (const auto& make : {SgemmLibrary::openblas, SgemmLibrary::blis, SgemmLibrary::onednn})
    if (const auto library = make(threads, avx2_only)) found.push_back(*library);
  return found;
}

}  // namespace loglog::kernels::ladder
