// Dropout against its definition, element by element.
#include "kernels/rowwise/dropout.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/rowwise/rowwise_cases.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::testing;

TEST_CASE("what dropout keeps is scaled and added, forward and backward alike", "[dropout]") {
  for (const Index cols : kColumns) {
    const Index rows = 9;
    CAPTURE(cols);
    GuardedMatrix in(rows, cols, 3), residual(rows, cols, 1), out(rows, cols, 2), d_out(rows, cols),
        d_in(rows, cols, 1);
    fill_normal(in, 1), fill_normal(residual, 2), fill_normal(d_out, 3);
    const Dropout dropout{0.25f, 0x123456789abcdefull, 5};
    run(2, rows, cols, [&](ExecContext& ctx) {
      drop_and_add(ctx, out.ref(), in.ref(), residual.ref(), dropout);
      drop(ctx, d_in.ref(), d_out.ref(), dropout);
    });
    REQUIRE((out.intact() && d_in.intact()));
    const float kept = 1.0f / 0.75f;
    const auto factor = [&](Index e) {
      return dropout.keeps(static_cast<std::uint32_t>(e + 5 * cols)) ? kept : 0.0f;
    };
    REQUIRE(compare(rows * cols, [&](Index e) {
      return Element{out(e / cols, e % cols),
                     residual(e / cols, e % cols) + in(e / cols, e % cols) * factor(e)};
    }));
    REQUIRE(compare(rows * cols, [&](Index e) {
      return Element{d_in(e / cols, e % cols), d_out(e / cols, e % cols) * factor(e)};
    }));
  }
}

TEST_CASE("as many elements stay as the rate says, whatever key and place; none goes at rate 0",
          "[dropout]") {
  const std::uint32_t elements = 1 << 18;
  for (const float rate : {0.1f, 0.5f, 0.9f}) {
    for (const std::uint64_t key : {0ull, 1ull, 1ull << 32, 0xfedcba9876543210ull}) {
      const Dropout dropout{rate, key}, other{rate, key + 1};
      double kept = 0, both = 0, neighbours = 0;
      for (std::uint32_t e = 0; e < elements; ++e) {
        const bool here = dropout.keeps(e);
        kept += here;
        both += here && other.keeps(e);
        neighbours += here && dropout.keeps(e + 1);
      }
      // Five standard deviations of a fair draw.
      const auto near_share = [&](double count, double share) {
        return std::abs(count / elements - share) <= 5 * std::sqrt(share * (1 - share) / elements);
      };
      const double share = 1.0 - double(rate);
      CAPTURE(rate, key);
      CHECK(near_share(kept, share));
      CHECK(near_share(both, share * share));
      CHECK(near_share(neighbours, share * share));
    }
  }
  for (std::uint32_t e = 0; e < 1000; ++e) REQUIRE(Dropout{0.0f, 7}.keeps(e));
}

TEST_CASE("parts of a batch have the mask of the whole, and no bit depends on threads", "[dropout]") {
  const Index rows = kCutRows, cols = kCutCols, first = 300;
  GuardedMatrix in(rows, cols), whole(rows, cols), part(rows - first, cols);
  fill_normal(in, 1);
  Dropout dropout{0.5f, 99};
  run(1, rows, cols, [&](ExecContext& ctx) {
    drop(ctx, whole.ref(), in.ref(), dropout);
    dropout.first_row = first;
    drop(ctx, part.ref(), ConstMatrixRef(in.ref().row(first), rows - first, cols), dropout);
  });
  REQUIRE(compare(part.rows() * cols, [&](Index e) {
    return Element{part(e / cols, e % cols), whole(first + e / cols, e % cols)};
  }));
  REQUIRE(same_bits_for_threads([&](int threads) {
    GuardedMatrix out(rows, cols);
    run(threads, rows, cols,
        [&](ExecContext& ctx) { drop_and_add(ctx, out.ref(), in.ref(), in.ref(), dropout); });
    std::vector<float> all;
    append(all, out);
    return all;
  }));
}

TEST_CASE("dropout: broken contracts", "[dropout]") {
  GuardedMatrix x(2, 4), narrow(2, 3);
  run(1, 2, 4, [&](ExecContext& ctx) {
    REQUIRE_THROWS_AS(drop(ctx, narrow.ref(), x.ref(), {}), ContractError);
    REQUIRE_THROWS_AS(drop_and_add(ctx, x.ref(), x.ref(), narrow.ref(), {}), ContractError);
    for (const float rate : {-0.1f, 1.0f, std::nanf("")})
      REQUIRE_THROWS_AS(drop(ctx, x.ref(), x.ref(), {rate}), ContractError);
    REQUIRE_THROWS_AS(drop(ctx, x.ref(), x.ref(), {0.5f, 0, Index{1} << 31}), ContractError);
  });
}
