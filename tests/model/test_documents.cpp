// Documents that share a window are trained as if each stood alone: the bits of losses, and of the gradients of all that belongs
// to one document.
#include <numeric>

#include "base/check.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

constexpr Index kTime = 24;
// Two windows: documents of 5, 1 and 18 tokens, then of 24.
const std::vector<kernels::AttentionSequence> kRows = {
    {0, 5, 0, 5}, {5, 1, 5, 1}, {6, 18, 6, 18}, {24, 24, 24, 24}};

model::ModelConfig config_of(int variant) {
  model::ModelConfig m{
      .layers = 2, .width = 16, .heads = 2, .context = kTime, .vocab = 2 * kTime, .tied = false};
  if (variant == 1) m.position = "rope", m.norm = "rmsnorm", m.mlp = "swiglu", m.qk_norm = true;
  if (variant == 2) m.mask = "window", m.mask_span = 4, m.kv_heads = 1, m.block = "parallel";
  if (variant == 3) m.mask = "prefix", m.mask_span = 3;
  return m;
}

std::vector<std::int32_t> positions_of_rows() {
  std::vector<std::int32_t> positions;
  for (const kernels::AttentionSequence& rows : kRows)
    for (Index t = 0; t < rows.queries; ++t) positions.push_back(static_cast<std::int32_t>(t));
  return positions;
}

const tensor::Parameter& parameter(const model::Gpt& gpt, std::string_view name) {
  for (const model::NamedParameter& p : gpt.parameters())
    if (p.name == name) return p.tensor;
  throw std::logic_error("no such parameter");
}

}  // namespace

TEST_CASE("losses and gradients have the bits of each document alone") {
  const int variant = GENERATE(range(0, 4));
  const auto type = GENERATE(kernels::FloatType::float32, kernels::FloatType::bfloat16);
  CAPTURE(variant, type);
  const model::ModelConfig m = config_of(variant);
  SmallModel packed(m, {2, kTime, true}, test_table(), 1, type);
  // Every token stands at one place: its row of the embedding's gradient is that of this place alone.
  std::iota(packed.tokens.begin(), packed.tokens.end(), 0);
  const std::vector<std::int32_t> positions = positions_of_rows();
  packed.gpt.forward_backward(packed.ctx, 2, packed.tokens.data(), packed.targets.data(), 0.25f,
                              packed.losses.data(), {.documents = {kRows, positions.data()}});
  const tensor::Parameter& together = parameter(packed.gpt, "embedding.token");
  for (const kernels::AttentionSequence& rows : kRows) {
    CAPTURE(rows.query);
    SmallModel alone(m, {1, rows.queries}, test_table(), 1, type);
    std::copy_n(packed.tokens.begin() + rows.query, rows.queries, alone.tokens.begin());
    std::copy_n(packed.targets.begin() + rows.query, rows.queries, alone.targets.begin());
    alone.forward_backward(0.25f);
    CHECK(compare_equal(alone.losses, std::span(packed.losses)
                                          .subspan(static_cast<std::size_t>(rows.query),
                                                   static_cast<std::size_t>(rows.queries))));
    const tensor::Parameter& own = parameter(alone.gpt, "embedding.token");
    const auto part = [&](const tensor::Parameter& p) {
      const auto size = static_cast<std::size_t>(rows.queries * m.width);
      return std::vector<float>(p.gradient + rows.query * m.width,
                                p.gradient + rows.query * m.width + static_cast<Index>(size));
    };
    CHECK(compare_equal(part(own), part(together)));
  }
}

TEST_CASE("without documents a window is one, and with them another") {
  const model::ModelConfig m = config_of(0);
  SmallModel small(m, {2, kTime, true}, test_table());
  small.forward();
  const std::vector<float> whole = small.losses;
  std::vector<std::int32_t> positions = positions_of_rows();
  small.gpt.forward(small.ctx, 2, small.tokens.data(), small.targets.data(), small.losses.data(),
                    {kRows, positions.data()});
  const auto from = [&](const std::vector<float>& x, Index row) {
    return std::vector<float>(x.begin() + row, x.begin() + row + 5);
  };
  CHECK(compare_equal(from(small.losses, 0),
                      from(whole, 0)));  // the first document begins where the window does
  CHECK_FALSE(compare_equal(from(small.losses, 6), from(whole, 6)).passed);
  const std::vector<kernels::AttentionSequence> windows = {{0, kTime, 0, kTime},
                                                           {kTime, kTime, kTime, kTime}};
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i % kTime);
  small.gpt.forward(small.ctx, 2, small.tokens.data(), small.targets.data(), small.losses.data(),
                    {windows, positions.data()});
  CHECK(compare_equal(small.losses, whole));
}

TEST_CASE("a model whose scratch has no room for documents refuses them") {
  const model::ModelConfig m = config_of(0);
  SmallModel small(m, {2, kTime}, test_table());
  const std::vector<std::int32_t> positions = positions_of_rows();
  CHECK_THROWS_AS(small.gpt.forward(small.ctx, 2, small.tokens.data(), small.targets.data(),
                                    small.losses.data(), {kRows, positions.data()}),
                  ContractError);
  // As many documents as rows fit into the scratch that was asked for.
  SmallModel room(m, {2, kTime, true}, test_table(), 2);
  std::vector<kernels::AttentionSequence> single;
  for (Index row = 0; row < 2 * kTime; ++row) single.push_back({row, 1, row, 1});
  const std::vector<std::int32_t> zeros(2 * kTime);
  CHECK_NOTHROW(room.gpt.forward_backward(room.ctx, 2, room.tokens.data(), room.targets.data(), 1.0f,
                                          room.losses.data(), {.documents = {single, zeros.data()}}));
}
