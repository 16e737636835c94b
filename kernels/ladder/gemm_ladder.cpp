// The gemm ladder as the verb sees it, and the checks of its rungs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/check.hpp"
#include "kernels/ladder/gemm.hpp"
#include "kernels/ladder/guarded.hpp"
#include "kernels/ladder/kinds.hpp"
#include "kernels/ladder/operands.hpp"
#include "kernels/ladder/sgemm_library.hpp"
#include "kernels/table.hpp"

namespace loglog::kernels::ladder {
namespace {

using Product = std::function<void(Index m, Index n, Index k, const float* a, const float* b, float* c)>;
using GuestGemm = void(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b,
                       float* c);

struct Shape {
  Index m, n, k;
};

// One of everything, odd sizes, and just around the tiles and blocks of the rungs: 4 to 14 rows, strips of up to 32
// columns, blocks of 256.
constexpr Shape kShapes[] = {
    {1, 1, 1},   {2, 3, 1},    {3, 5, 7},    {8, 8, 8},     {1, 100, 1},  {100, 1, 3},    {7, 31, 33},
    {14, 32, 5}, {15, 33, 40}, {29, 65, 64}, {13, 257, 20}, {5, 40, 257}, {31, 300, 300}, {64, 64, 513},
};

double magnitude(double x) {
  return std::abs(x);
}

// Row i of C by plain loops in float64, and the same of the absolute values.
struct ExactRow {
  std::vector<double> value, absolute;
  ExactRow(const Shape& s, const float* a, const float* b, Index i) : value(s.n, 0.0), absolute(s.n, 0.0) {
    for (Index p = 0; p < s.k; ++p) {
      for (Index j = 0; j < s.n; ++j) {
        const double product = double{a[i * s.k + p]} * double{b[p * s.n + j]};
        value[j] += product;
        absolute[j] += magnitude(product);
      }
    }
  }
};

std::string name_of(const Shape& s) {
  return fmt::format("M {}, N {}, K {}", s.m, s.n, s.k);
}

std::string wrong_element(const Shape& s, Index i, Index j, float got, double expected) {
  return fmt::format("C[{},{}] is {:.9g}, should be {:.9g} ({})", i, j, got, expected, name_of(s));
}

std::string check_exact(const Product& product, const Shape& s, const Ladder::Call& call) {
  Guarded<float> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
  a.fill([](Index i) { return small_integer(i, 1); }).protect();
  b.fill([](Index i) { return small_integer(i, 2); }).protect();
  c.fill([](Index) { return std::nanf(""); });
  call(name_of(s), [&] { product(s.m, s.n, s.k, a.data(), b.data(), c.data()); });
  if (!c.intact()) return fmt::format("it writes before the first element of C ({})", name_of(s));
  for (Index i = 0; i < s.m; ++i) {
    const ExactRow exact(s, a.data(), b.data(), i);
    for (Index j = 0; j < s.n; ++j) {
      if (c[i * s.n + j] != exact.value[j]) return wrong_element(s, i, j, c[i * s.n + j], exact.value[j]);
    }
  }
  return {};
}

class GemmLadder : public Ladder {
 public:
  GemmLadder(const KernelTable& table, int threads, const Shape& shape)
      : shape_(shape),
        scratch_(scratch_bytes(table, threads, shape)),
        ctx_{table, threads, scratch_},
        a_(shape.m * shape.k),
        b_(shape.k * shape.n),
        c_(shape.m * shape.n) {
    a_.fill([](Index i) { return normal_like(i, 1); }).protect();
    b_.fill([](Index i) { return normal_like(i, 2); }).protect();
    for (const GemmRung& rung : gemm_rungs(table)) {
      rungs_.push_back(rung.info);
      products_.emplace_back([this, rung](Index m, Index n, Index k, const float* a, const float* b,
                                          float* c) { rung.run(ctx_, m, n, k, a, b, c); });
    }
  }

  void add_peers() override {
    const bool avx2_only = std::string_view(ctx_.kernels.float32) == "avx2";
    for (const SgemmLibrary& library : sgemm_libraries(ctx_.threads, avx2_only)) {
      rungs_.push_back({.number = kPeer,
                        .name = library.name(),
                        .idea = "a library",
                        .gain = 0,
                        .why = "",
                        .threads = true});
      products_.emplace_back([library](Index m, Index n, Index k, const float* a, const float* b, float* c) {
        library({a, m, k}, {b, k, n}, c);
      });
    }
  }

  void add_guest(const RungInfo& info, Symbol function) override {
    rungs_.push_back(info);
    products_.emplace_back(reinterpret_cast<GuestGemm*>(function));
  }

  Index parts() const override { return shape_.m; }
  Work work(int, Index parts) const override {
    const auto m = static_cast<double>(parts), n = static_cast<double>(shape_.n),
               k = static_cast<double>(shape_.k);
    return {2 * m * n * k, sizeof(float) * (m * k + k * n + m * n)};
  }
  void run(int rung, Index parts) override {
    products_[static_cast<std::size_t>(rung)](parts, shape_.n, shape_.k, a_.data(), b_.data(), c_.data());
  }

  std::string check(int rung, Index parts, const Call& call) override {
    const Product& product = products_[static_cast<std::size_t>(rung)];
    for (const Shape& s : kShapes) {
      if (std::string wrong = check_exact(product, s, call); !wrong.empty()) return wrong;
    }
    c_.fill([](Index) { return std::nanf(""); });
    call(name_of({parts, shape_.n, shape_.k}), [&] { run(rung, parts); });
    return check_bounds(parts, rungs_[static_cast<std::size_t>(rung)].operand_error);
  }

 private:
  // What the shapes of the checks need as well.
  static std::size_t scratch_bytes(const KernelTable& table, int threads, const Shape& shape) {
    std::size_t bytes = gemm_scratch(table, threads, shape.m, shape.n, shape.k);
    for (const Shape& s : kShapes) bytes = std::max(bytes, gemm_scratch(table, threads, s.m, s.n, s.k));
    return bytes;
  }

  // All columns of up to nine rows, the first and the last among them.
  std::string check_bounds(Index parts, double operand_error) const {
    const Shape s = {parts, shape_.n, shape_.k};
    const Index step = std::max<Index>(1, (parts - 1) / 8);
    for (Index row = 0; row < parts + step - 1; row += step) {
      const Index i = std::min(row, parts - 1);
      const ExactRow exact(s, a_.data(), b_.data(), i);
      const double relative = 2.01 * operand_error + static_cast<double>(s.k + 2) * 0x1p-24;
      for (Index j = 0; j < s.n; ++j) {
        const float got = c_[i * s.n + j];
        const bool right = magnitude(got - exact.value[j]) <= relative * exact.absolute[j] + 0x1p-149 * s.k;
        if (!right) return wrong_element(s, i, j, got, exact.value[j]);
      }
    }
    return {};
  }

  Shape shape_;
  Scratch scratch_;
  ExecContext ctx_;
  Guarded<float> a_, b_, c_;
  std::vector<Product> products_;
};

}  // namespace

std::unique_ptr<Ladder> make_gemm_ladder(const KernelTable& table, int threads,
                                         const std::vector<Index>& size) {
  LOGLOG_CHECK(size.size() == 3 && std::ranges::min(size) >= 1, "size of {} numbers", size.size());
  return std::make_unique<GemmLadder>(table, threads, Shape{size[0], size[1], size[2]});
}

}  // namespace loglog::kernels::ladder
