// The attention ladder as the verb sees it, and the checks of its rungs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/check.hpp"
#include "kernels/ladder/attention.hpp"
#include "kernels/ladder/guarded.hpp"
#include "kernels/ladder/kinds.hpp"
#include "kernels/ladder/operands.hpp"
#include "kernels/reference/attention.hpp"

namespace loglog::kernels::ladder {
namespace {

using Function = std::function<void(const AttentionCall&)>;
using GuestAttention = void(std::int64_t heads, std::int64_t time, std::int64_t size, const float* q,
                            const float* k, const float* v, float* out);

struct Shape {
  Index heads, time, size;
  Index floats() const { return heads * time * size; }
};

// Odd sizes, and just around blocks of 64 keys and vectors of 4 to 16 floats.
constexpr Shape kShapes[] = {{1, 1, 1}, {2, 3, 5}, {1, 63, 16}, {1, 64, 8}, {3, 65, 17}, {2, 130, 33}};

// Operands of one call, each ending at a page that nobody may touch.
struct Operands {
  Shape shape;
  Guarded<float> q, k, v, d_out, out, d_q, d_k, d_v;

  explicit Operands(const Shape& s)
      : shape(s),
        q(s.floats()),
        k(s.floats()),
        v(s.floats()),
        d_out(s.floats()),
        out(s.floats()),
        d_q(s.floats()),
        d_k(s.floats()),
        d_v(s.floats()) {
    std::uint32_t stream = 0;
    for (Guarded<float>* x : {&q, &k, &v, &d_out}) {
      x->fill([&](Index i) { return normal_like(i, stream); }).protect();
      ++stream;
    }
  }
  void forget() {
    for (Guarded<float>* x : {&out, &d_q, &d_k, &d_v}) x->fill([](Index) { return std::nanf(""); });
  }
  AttentionCall call(Index heads) const {
    return {heads,      shape.time,   shape.size, q.data(),   k.data(),  v.data(),
            out.data(), d_out.data(), d_q.data(), d_k.data(), d_v.data()};
  }
};

std::string name_of(const Shape& s) {
  return fmt::format("H {}, T {}, D {}", s.heads, s.time, s.size);
}

std::string wrong_element(const char* name, const Shape& s, Index i, float got, double expected) {
  return fmt::format("{}[{},{},{}] is {:.9g}, should be {:.9g} (H {}, T {}, D {})", name,
                     i / (s.time * s.size), i / s.size % s.time, i % s.size, got, expected, s.heads, s.time,
                     s.size);
}

// Queries that point at one key each: key x is (x, -x^2), so the score of key x for target y is 2 x y - x^2, largest at
// x = y by at least 1, times 1000: weights are 1 and 0, and row t of out is the value of its target, exactly.
std::string check_selection(const Function& function, const Shape& s, const Ladder::Call& run) {
  if (s.size < 2) return {};
  Guarded<float> q(s.floats()), k(s.floats()), v(s.floats()), out(s.floats());
  const float stretch = 1000 * std::sqrt(static_cast<float>(s.size));
  const auto target = [](Index t) { return (7 * t + 3) % (t + 1); };
  const auto time_of = [&](Index i) { return i / s.size % s.time; };
  q.fill([&](Index i) {
    return i % s.size == 0 ? 2 * stretch * target(time_of(i)) : i % s.size == 1 ? stretch : 0;
  });
  k.fill([&](Index i) {
    const Index x = time_of(i);
    return i % s.size == 0 ? x : i % s.size == 1 ? -x * x : 0;
  });
  v.fill([](Index i) { return small_integer(i, 3); });
  for (Guarded<float>* x : {&q, &k, &v}) x->protect();
  out.fill([](Index) { return std::nanf(""); });
  // Backward rungs have their gradients elsewhere.
  Operands others(s);
  AttentionCall call = others.call(s.heads);
  call.q = q.data();
  call.k = k.data();
  call.v = v.data();
  call.out = out.data();
  run(name_of(s), [&] { function(call); });
  if (!out.intact()) return fmt::format("it writes before the first element of out ({})", name_of(s));
  for (Index i = 0; i < s.floats(); ++i) {
    const Index t = time_of(i);
    const float expected = v[i + (target(t) - t) * s.size];
    if (out[i] != expected) return wrong_element("out", s, i, out[i], expected);
  }
  return {};
}

// One head in float64, and the bounds of attention.hpp and docs/kernels.md.
class ExactHead {
 public:
  ExactHead(const Operands& x, Index head) : time_(x.shape.time), size_(x.shape.size) {
    const Index n = time_ * size_;
    const auto copy = [&](const Guarded<float>& g) {
      return std::vector<double>(g.data() + head * n, g.data() + (head + 1) * n);
    };
    q = copy(x.q), k = copy(x.k), v = copy(x.v), d_out = copy(x.d_out);
    out.resize(n), d_q.resize(n), d_k.resize(n), d_v.resize(n), lse.resize(time_);
    const reference::AttentionCase one = {.queries = time_, .keys = time_, .head_size = size_};
    reference::attention_ref(out.data(), lse.data(), q.data(), k.data(), v.data(), one);
    reference::attention_backward_ref(d_q.data(), d_k.data(), d_v.data(), d_out.data(), q.data(), k.data(),
                                      v.data(), one);
    for (const double value : v) largest_v_ = std::max(largest_v_, std::abs(value));
    const auto t = static_cast<double>(time_), d = static_cast<double>(size_);
    error = (6 * t + 11 + (d + 12 + 2 * t) * largest_score()) * 0x1p-24;
    bound_gradients();
  }
  double out_bound() const { return 2 * error * largest_v_; }

  std::vector<double> q, k, v, d_out, out, d_q, d_k, d_v, lse;
  std::vector<double> bound_q, bound_k, bound_v;
  double error;

 private:
  template <class Term>
  double sum(Term&& term) const {
    double total = 0;
    for (Index d = 0; d < size_; ++d) total += term(d);
    return total;
  }
  // A: the largest sum of |q||k| / sqrt(D).
  double largest_score() const {
    double largest = 0;
    for (Index t = 0; t < time_; ++t)
      for (Index s = 0; s <= t; ++s)
        largest =
            std::max(largest, sum([&](Index d) { return std::abs(q[t * size_ + d] * k[s * size_ + d]); }));
    return largest / std::sqrt(static_cast<double>(size_));
  }
  // |dS error| <= P e (|dO||V| + |dO||out| + 2 |dO|_1 max|v|), e of P = exp(S - lse); the gradients inherit it.
  void bound_gradients() {
    const double scale = 1 / std::sqrt(static_cast<double>(size_)), u = 0x1p-24;
    bound_q.assign(q.size(), 0), bound_k.assign(q.size(), 0), bound_v.assign(q.size(), 0);
    for (Index t = 0; t < time_; ++t) {
      const double e = 2 * error + (static_cast<double>(time_ + 3 * size_ + 16) + 3 * std::abs(lse[t])) * u;
      for (Index s = 0; s <= t; ++s) {
        const Index at = t * size_, from = s * size_;
        const double p = std::exp(sum([&](Index d) { return q[at + d] * k[from + d]; }) * scale - lse[t]);
        const double slope = sum([&](Index d) {
          return std::abs(d_out[at + d]) * (std::abs(v[from + d]) + std::abs(out[at + d]) + 2 * largest_v_);
        });
        const double p_error = e * p + 0x1p-125, score_error = p_error * slope * scale;
        for (Index d = 0; d < size_; ++d) {
          bound_q[at + d] += score_error * std::abs(k[from + d]);
          bound_k[from + d] += score_error * std::abs(q[at + d]);
          bound_v[from + d] += p_error * std::abs(d_out[at + d]);
        }
      }
    }
  }
  Index time_, size_;
  double largest_v_ = 0;
};

std::string check_head(const Operands& x, Index head, bool backward) {
  const ExactHead exact(x, head);
  const Index first = head * x.shape.time * x.shape.size;
  const auto compare = [&](const char* name, const Guarded<float>& got, const std::vector<double>& expected,
                           auto&& bound) -> std::string {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const float value = got[first + static_cast<Index>(i)];
      if (std::abs(value - expected[i]) <= bound(i)) continue;
      return wrong_element(name, x.shape, first + static_cast<Index>(i), value, expected[i]);
    }
    return {};
  };
  std::string wrong = compare("out", x.out, exact.out, [&](std::size_t) { return exact.out_bound(); });
  if (!backward) return wrong;
  const auto at = [](const std::vector<double>& bounds) { return [&](std::size_t i) { return bounds[i]; }; };
  if (wrong.empty()) wrong = compare("d_q", x.d_q, exact.d_q, at(exact.bound_q));
  if (wrong.empty()) wrong = compare("d_k", x.d_k, exact.d_k, at(exact.bound_k));
  if (wrong.empty()) wrong = compare("d_v", x.d_v, exact.d_v, at(exact.bound_v));
  return wrong;
}

class AttentionLadder : public Ladder {
 public:
  AttentionLadder(const KernelTable& table, int threads, const Shape& shape)
      : scratch_(scratch_bytes(table, threads, shape)), ctx_{table, threads, scratch_}, operands_(shape) {
    for (const AttentionRung& rung : attention_rungs(table)) {
      rungs_.push_back(rung.info);
      functions_.emplace_back([this, rung](const AttentionCall& call) { rung.run(ctx_, call); });
    }
  }

  void add_guest(const RungInfo& info, Symbol function) override {
    rungs_.push_back(info);
    const auto guest = reinterpret_cast<GuestAttention*>(function);
    functions_.emplace_back(
        [guest](const AttentionCall& c) { guest(c.heads, c.time, c.size, c.q, c.k, c.v, c.out); });
  }

  Index parts() const override { return operands_.shape.heads; }
  // Two products forward, four more backward, each 2 D operations on T (T + 1) / 2 scores.
  Work work(int rung, Index parts) const override {
    const double multiple = rungs_[static_cast<std::size_t>(rung)].work;
    const auto rows = static_cast<double>(parts * operands_.shape.time),
               d = static_cast<double>(operands_.shape.size);
    const double matrices = multiple > 1 ? 9 : 4;  // q k v out; and d_out, out again, d_q d_k d_v
    return {2 * multiple * d * rows * static_cast<double>(operands_.shape.time + 1),
            sizeof(float) * matrices * rows * d};
  }
  void run(int rung, Index parts) override {
    functions_[static_cast<std::size_t>(rung)](operands_.call(parts));
  }

  std::string check(int rung, Index parts, const Call& call) override {
    const bool backward = rungs_[static_cast<std::size_t>(rung)].work > 1;
    const Function& function = functions_[static_cast<std::size_t>(rung)];
    for (const Shape& s : kShapes) {
      if (std::string wrong = check_selection(function, s, call); !wrong.empty()) return wrong;
      Operands random(s);
      random.forget();
      call(name_of(s), [&] { function(random.call(s.heads)); });
      for (Index head = 0; head < s.heads; ++head)
        if (std::string wrong = check_head(random, head, backward); !wrong.empty()) return wrong;
    }
    operands_.forget();
    call(name_of({parts, operands_.shape.time, operands_.shape.size}), [&] { run(rung, parts); });
    return check_head(operands_, parts - 1, backward);
  }

 private:
  static std::size_t scratch_bytes(const KernelTable& table, int threads, const Shape& shape) {
    std::size_t bytes = attention_scratch(table, threads, shape.heads, shape.time, shape.size);
    for (const Shape& s : kShapes)
      bytes = std::max(bytes, attention_scratch(table, threads, s.heads, s.time, s.size));
    return bytes;
  }

  Scratch scratch_;
  ExecContext ctx_;
  Operands operands_;
  std::vector<Function> functions_;
};

}  // namespace

std::unique_ptr<Ladder> make_attention_ladder(const KernelTable& table, int threads,
                                              const std::vector<Index>& size) {
  LOGLOG_CHECK(size.size() == 3 && std::ranges::min(size) >= 1, "size of {} numbers", size.size());
  return std::make_unique<AttentionLadder>(table, threads, Shape{size[0], size[1], size[2]});
}

}  // namespace loglog::kernels::ladder
