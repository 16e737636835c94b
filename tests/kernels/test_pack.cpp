#include "kernels/pack.hpp"

#include "kernels/gemm_operand.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"

using namespace loglog;
using namespace loglog::kernels;
using loglog::testing::compare;
using loglog::testing::Element;
using loglog::testing::GuardedMatrixOf;
using loglog::testing::hash;
using loglog::testing::Operand;
using loglog::testing::to_double;

namespace {

double small_value(Index i, Index j) {
  return static_cast<double>(hash(i, j) % 255) - 127.0;
}

// Every element of `out` against the step of `in` that step_at(place) says. pack(out, view, lines, panel_width, depth)
// fills panels of panel_width * steps elements, which may start anywhere: `out` lies on the alignment of a page or one
// element off it.
template <class Out, class T, class Pack, class Step>
void check(Index panel_width, Index steps_multiple, Pack&& pack, Step&& step_at) {
  for (const Index lines : {Index{1}, panel_width - 1, panel_width, panel_width + 1, 9 * panel_width + 3}) {
    for (const Index depth : {1, 2, 3, 4, 15, 16, 31, 32, 63, 64, 65, 130}) {
      for (const int variant : {0, 1, 2, 3}) {
        const bool transposed = (variant & 1) != 0;
        const Index offset = variant / 2;
        INFO("lines " << lines << " of " << panel_width << ", depth " << depth
                      << (transposed ? ", transposed" : "") << ", offset " << offset);
        const Operand<T> in(lines, depth, transposed, 3, 1, small_value);
        const auto ref = in.ref();
        const Index steps = round_up(depth, steps_multiple), panels = ceil_div(lines, panel_width);
        GuardedMatrixOf<Out> out(panels, panel_width * steps, 0, offset);
        pack(out.data(), LinesView<T>{ref.data, ref.row_stride, ref.col_stride}, lines, panel_width, depth);
        REQUIRE(out.intact());
        REQUIRE(compare(panels * panel_width * steps, [&](Index e) {
          const Index panel = e / (panel_width * steps), place = e % (panel_width * steps);
          const auto [line, p] = step_at(place);
          const Index i = panel * panel_width + line;
          const bool exists = i < lines && p < depth;
          return Element{to_double(out(panel, place)), exists ? in(i, p) : 0.0};
        }));
      }
    }
  }
}

struct Place {
  Index line, step;
};

}  // namespace

TEST_CASE("floats are packed step by step", "[pack]") {
  for (const Index panel_width : {4, 6, 14, 32, 70}) {
    check<float, float>(
        panel_width, 1, [](auto... arguments) { pack_panels(arguments...); },
        [=](Index e) {
          return Place{e % panel_width, e / panel_width};
        });
  }
}

TEST_CASE("bfloat16 and int8 are packed in groups", "[pack]") {
  for (const Index panel_width : {4, 6, 14, 32, 70}) {
    const auto place = [=](Index group) {
      return [=](Index e) {
        return Place{e / group % panel_width, e / (panel_width * group) * group + e % group};
      };
    };
    const auto pack = [](auto... arguments) { pack_panels(arguments...); };
    check<bf16, bf16>(panel_width, 2, pack, place(2));
    check<std::int8_t, std::int8_t>(panel_width, 4, pack, place(4));
    // 128 added, as unsigned bytes, and taken off again: zeros too.
    for (const int group : {4, 8}) {
      const auto pack_plus_128 = [&](std::int8_t* out, LinesView<std::int8_t> in, Index lines, Index width,
                                     Index depth) {
        pack_panels(out, in, lines, width, depth, {group, group, true});
        const Index bytes = round_up(lines, width) * round_up(depth, group);
        for (Index e = 0; e < bytes; ++e)
          out[e] = static_cast<std::int8_t>(static_cast<std::uint8_t>(out[e]) - 128);
      };
      check<std::int8_t, std::int8_t>(panel_width, group, pack_plus_128, place(group));
    }
  }
}

TEST_CASE("larger groups and deeper panels, as tile registers want them", "[pack]") {
  const auto with = [](Grouping grouping) {
    return [=](auto... arguments) { pack_panels(arguments..., grouping); };
  };
  for (const Index panel_width : {6, 16, 32}) {
    const auto place = [=](Index group) {
      return [=](Index e) {
        return Place{e / group % panel_width, e / (panel_width * group) * group + e % group};
      };
    };
    check<std::int8_t, std::int8_t>(panel_width, 8, with({8, 8}), place(8));
    check<std::int8_t, std::int8_t>(panel_width, 64, with({64, 64}), place(64));
    check<std::int8_t, std::int8_t>(panel_width, 64, with({4, 64}), place(4));
    check<bf16, bf16>(panel_width, 32, with({32, 32}), place(32));
    check<bf16, bf16>(panel_width, 32, with({2, 32}), place(2));
  }
}

TEST_CASE("rows are widened as some products want them", "[pack]") {
  for (const Index panel_width : {4, 6, 14, 70}) {
    check<float, bf16>(
        panel_width, 2, [](auto... arguments) { pack_panels(arguments...); },
        [=](Index e) {
          return Place{e % panel_width, e / panel_width};
        });
    // Units of two steps, p and p + 2, of which a group of four has two: 0 2 and 1 3.
    check<std::int16_t, std::int8_t>(
        panel_width, 4, [](auto... arguments) { pack_panels(arguments...); },
        [=](Index e) {
          const Index unit = e / (2 * panel_width);
          return Place{e / 2 % panel_width, unit / 2 * 4 + unit % 2 + e % 2 * 2};
        });
  }
}

TEST_CASE("nothing is packed of an operand without depth, which may lie nowhere", "[pack]") {
  GuardedMatrixOf<float> floats(1, 0);
  GuardedMatrixOf<bf16> halves(1, 0);
  GuardedMatrixOf<std::int16_t> words(1, 0);
  GuardedMatrixOf<std::int8_t> bytes(1, 0);
  for (const Index stride : {1, 9}) {
    pack_panels(floats.data(), LinesView<float>{nullptr, stride, 10 - stride}, 9, 4, 0);
    pack_panels(floats.data(), LinesView<bf16>{nullptr, stride, 10 - stride}, 9, 4, 0);
    pack_panels(halves.data(), LinesView<bf16>{nullptr, stride, 10 - stride}, 9, 4, 0);
    pack_panels(words.data(), LinesView<std::int8_t>{nullptr, stride, 10 - stride}, 9, 4, 0);
    pack_panels(bytes.data(), LinesView<std::int8_t>{nullptr, stride, 10 - stride}, 9, 4, 0);
  }
  REQUIRE((floats.intact() && halves.intact() && words.intact() && bytes.intact()));
}
