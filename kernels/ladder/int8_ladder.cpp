// The int8 ladder as the verb sees it, and the checks of its rungs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "base/check.hpp"
#include "kernels/ladder/guarded.hpp"
#include "kernels/ladder/int8.hpp"
#include "kernels/ladder/kinds.hpp"
#include "kernels/ladder/operands.hpp"

namespace loglog::kernels::ladder {
namespace {

// B as it is, and as a rung may ask for it.
struct Factor {
  const float* values;
  Int8Weights weights;
  Factor(const KernelTable& table, const float* b, Index k, Index n)
      : values(b), weights(table, {b, k, n}, {}) {}
};

using Product = std::function<void(Index m, Index n, Index k, const float* a, const Factor& b, float* c)>;
using GuestInt8 = void(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b,
                       float* c);

struct Shape {
  Index m, n, k;
};
constexpr Shape kShapes[] = {{1, 1, 1},    {2, 3, 1},     {3, 5, 7},   {7, 31, 33},
                             {15, 65, 40}, {29, 64, 129}, {5, 33, 400}};

// One feature of 64 is twenty times as large as the others, as in language models of some billion parameters.
float with_outliers(Index i, Index k) {
  return normal_like(i, 1) * (i % k % 64 == 17 ? 20.0f : 1.0f);
}

// Whole numbers up to 127, none small but 0, with one 127 in every row of A and every column of B: all scales are 1, also of
// what is left when outliers above 6 are taken out.
float whole_number(Index i, Index period, std::uint32_t stream) {
  const float value = i % period == 0 ? 127.0f : static_cast<float>(scrambled(i, stream) % 255) - 127.0f;
  return std::abs(value) > 6.0f ? value : 0.0f;
}

float largest_of(const Guarded<float>& x, Index count) {
  float largest = 0;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

std::string name_of(const Shape& s) {
  return fmt::format("M {}, N {}, K {}", s.m, s.n, s.k);
}

std::string wrong_element(const Shape& s, Index i, Index j, float got, double expected) {
  return fmt::format("C[{},{}] is {:.9g}, should be {:.9g} ({})", i, j, got, expected, name_of(s));
}

// Row i of C in float64, and what the rounding to int8 may move it by.
struct ExactRow {
  std::vector<double> value, bound;
  ExactRow(const Shape& s, const float* a, const float* b, Index i, double scale_a, double scale_b)
      : value(s.n, 0.0), bound(s.n, 0.0) {
    const double slack = 1 + static_cast<double>(s.k + 6) * 0x1p-16;
    for (Index p = 0; p < s.k; ++p) {
      const double x = a[i * s.k + p];
      for (Index j = 0; j < s.n; ++j) {
        const double y = b[p * s.n + j];
        value[j] += x * y;
        bound[j] += (std::abs(x) * scale_b + std::abs(y) * scale_a + scale_a * scale_b / 2) / 2 * slack;
      }
    }
  }
};

std::string check_exact(const KernelTable& table, const Product& product, const Shape& s,
                        const Ladder::Call& call) {
  Guarded<float> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
  a.fill([&](Index i) { return whole_number(i, s.k, 1); }).protect();  // the first of each row is 127
  b.fill([&](Index i) { return i < s.n ? 127.0f : whole_number(i, s.k * s.n, 2); }).protect();
  c.fill([](Index) { return std::nanf(""); });
  const Factor factor(table, b.data(), s.k, s.n);
  call(name_of(s), [&] { product(s.m, s.n, s.k, a.data(), factor, c.data()); });
  if (!c.intact()) return fmt::format("it writes before the first element of C ({})", name_of(s));
  for (Index i = 0; i < s.m; ++i) {
    const ExactRow exact(s, a.data(), b.data(), i, 0, 0);
    for (Index j = 0; j < s.n; ++j)
      if (c[i * s.n + j] != exact.value[j]) return wrong_element(s, i, j, c[i * s.n + j], exact.value[j]);
  }
  return {};
}

class Int8Ladder : public Ladder {
 public:
  Int8Ladder(const KernelTable& table, int threads, const Shape& shape)
      : shape_(shape),
        scratch_(scratch_bytes(table, threads, shape)),
        ctx_{table, threads, scratch_},
        a_(shape.m * shape.k),
        b_(shape.k * shape.n),
        c_(shape.m * shape.n) {
    a_.fill([&](Index i) { return with_outliers(i, shape.k); }).protect();
    b_.fill([](Index i) { return 0.05f * normal_like(i, 2); }).protect();
    factor_.emplace(table, b_.data(), shape.k, shape.n);
    for (const Int8Rung& rung : int8_rungs(table)) {
      rungs_.push_back(rung.info);
      products_.emplace_back(
          [this, rung](Index m, Index n, Index k, const float* a, const Factor& b, float* c) {
            if (rung.run_with_weights != nullptr) return rung.run_with_weights(ctx_, m, a, b.weights, c);
            rung.run(ctx_, m, n, k, a, b.values, c);
          });
    }
  }

  void add_guest(const RungInfo& info, Symbol function) override {
    rungs_.push_back(info);
    auto* const guest = reinterpret_cast<GuestInt8*>(function);
    products_.emplace_back([guest](Index m, Index n, Index k, const float* a, const Factor& b, float* c) {
      guest(m, n, k, a, b.values, c);
    });
  }

  Index parts() const override { return shape_.m; }
  Work work(int, Index parts) const override {
    const auto m = static_cast<double>(parts), n = static_cast<double>(shape_.n),
               k = static_cast<double>(shape_.k);
    return {2 * m * n * k, sizeof(float) * (m * k + k * n + m * n)};
  }
  void run(int rung, Index parts) override {
    products_[static_cast<std::size_t>(rung)](parts, shape_.n, shape_.k, a_.data(), *factor_, c_.data());
  }

  std::string check(int rung, Index parts, const Call& call) override {
    for (const Shape& s : kShapes) {
      std::string wrong = check_exact(ctx_.kernels, products_[static_cast<std::size_t>(rung)], s, call);
      if (!wrong.empty()) return wrong;
    }
    c_.fill([](Index) { return std::nanf(""); });
    call(name_of({parts, shape_.n, shape_.k}), [&] { run(rung, parts); });
    std::string wrong;
    for_rows(parts, [&](const Shape& s, Index i, Index j, float got, double expected, double bound) {
      if (wrong.empty() && !(std::abs(got - expected) <= bound))
        wrong = wrong_element(s, i, j, got, expected);
    });
    return wrong;
  }

  // Root mean square of the error, relative to that of C.
  std::string remark(int rung) override {
    const Index parts = std::min<Index>(shape_.m, 64);
    run(rung, parts);
    double errors = 0, values = 0;
    for_rows(parts, [&](const Shape&, Index, Index, float got, double expected, double) {
      errors += (got - expected) * (got - expected);
      values += expected * expected;
    });
    return fmt::format("error {:.2g}%", 100 * std::sqrt(errors / values));
  }

 private:
  // visit(shape, i, j, got, expected, bound) for all columns of up to nine rows, the first and the last among them.
  template <class Visit>
  void for_rows(Index parts, Visit&& visit) const {
    const Shape s = {parts, shape_.n, shape_.k};
    const double scale_a = largest_of(a_, s.m * s.k) / 127.0, scale_b = largest_of(b_, s.k * s.n) / 127.0;
    const Index step = std::max<Index>(1, (parts - 1) / 8);
    for (Index row = 0; row < parts + step - 1; row += step) {
      const Index i = std::min(row, parts - 1);
      const ExactRow exact(s, a_.data(), b_.data(), i, scale_a, scale_b);
      for (Index j = 0; j < s.n; ++j) visit(s, i, j, c_[i * s.n + j], exact.value[j], exact.bound[j]);
    }
  }
  static std::size_t scratch_bytes(const KernelTable& table, int threads, const Shape& shape) {
    std::size_t bytes = int8_scratch(table, threads, shape.m, shape.n, shape.k);
    for (const Shape& s : kShapes) bytes = std::max(bytes, int8_scratch(table, threads, s.m, s.n, s.k));
    return bytes;
  }

  Shape shape_;
  Scratch scratch_;
  ExecContext ctx_;
  Guarded<float> a_, b_, c_;
  std::optional<Factor> factor_;  // made of b_
  std::vector<Product> products_;
};

}  // namespace

std::unique_ptr<Ladder> make_int8_ladder(const KernelTable& table, int threads,
                                         const std::vector<Index>& size) {
  LOGLOG_CHECK(size.size() == 3 && std::ranges::min(size) >= 1, "size of {} numbers", size.size());
  return std::make_unique<Int8Ladder>(table, threads, Shape{size[0], size[1], size[2]});
}

}  // namespace loglog::kernels::ladder
