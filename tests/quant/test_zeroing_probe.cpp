// Channels set to zero: which elements, and what a model is without them.
#include "quant/activations/zeroing_probe.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "quant/random_model.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;
using loglog::testing::RandomModel;

namespace {

constexpr Index kRows = 3, kCols = 5;

// Which elements of (kRows, kCols) ones the probe leaves at this place, as the product's input.
template <class T>
std::vector<bool> left_by(ZeroingProbe& probe, nn::Place place, T one) {
  kernels::Scratch scratch;
  kernels::ExecContext ctx{kernels::select_table("auto"), 1, scratch};
  std::vector<T> values(kRows * kCols, one);
  const T zero{};
  probe.input(ctx, place, tensor::FloatView(kernels::Matrix<T>(values.data(), kRows, kCols)));
  std::vector<bool> left;
  for (const T& x : values) left.push_back(std::memcmp(&x, &zero, sizeof(T)) != 0);
  return left;
}

std::vector<bool> all_but(const std::vector<Index>& channels) {
  std::vector<bool> left;
  for (Index i = 0; i < kRows * kCols; ++i)
    left.push_back(std::find(channels.begin(), channels.end(), i % kCols) == channels.end());
  return left;
}

}  // namespace

TEST_CASE("channels are zeroed in every row, at the sites and in the layer that are named") {
  ZeroingProbe everywhere({"qkv", "down"}, {0, 3}), once({"qkv"}, {4}, 2);
  for (const Index layer : {0, 2}) {
    CHECK(left_by(everywhere, {nn::Site::qkv, layer}, 1.0f) == all_but({0, 3}));
    CHECK(left_by(everywhere, {nn::Site::down, layer}, 1.0f) == all_but({0, 3}));
    CHECK(left_by(everywhere, {nn::Site::up, layer}, 1.0f) == all_but({}));
  }
  CHECK(left_by(once, {nn::Site::qkv, 2}, 1.0f) == all_but({4}));
  CHECK(left_by(once, {nn::Site::qkv, 1}, 1.0f) == all_but({}));
  CHECK(left_by(once, {nn::Site::down, 2}, 1.0f) == all_but({}));
  CHECK(left_by(everywhere, {nn::Site::qkv, 0}, kernels::to_bf16(1.0f)) == all_but({0, 3}));
}

TEST_CASE("a channel that a site does not have is a broken contract") {
  ZeroingProbe beyond({"qkv"}, {kCols}), before({"qkv"}, {-1});
  CHECK_THROWS_AS(left_by(beyond, {nn::Site::qkv, 0}, 1.0f), ContractError);
  CHECK_THROWS_AS(left_by(before, {nn::Site::qkv, 0}, 1.0f), ContractError);
  CHECK_NOTHROW(left_by(beyond, {nn::Site::up, 0}, 1.0f));
}

TEST_CASE("zeroing what was planted changes as little as zeroing it unplanted") {
  RandomModel plain, planted;
  const std::vector<Index> channels = {5, 33};
  planted.plant(channels, 128);
  ZeroingProbe a({"qkv", "up"}, channels), b({"qkv", "up"}, channels), other({"qkv", "up"}, {6, 34});
  const std::vector<float> without = plain.run(&a);
  CHECK(without == planted.run(&b));
  CHECK(without != plain.run(nullptr));
  CHECK(a.focus().top1() == b.focus().top1());
  CHECK(plain.run(&other) != without);
  ZeroingProbe third({"qkv", "up"}, channels, 2), none({"down"}, {}), last({"head"}, channels);
  CHECK(plain.run(&third) != without);
  CHECK(third.focus().layers().size() == 1);
  CHECK(plain.run(&none) == plain.run(nullptr));
}

TEST_CASE("a stream without channels is one to which nothing writes them") {
  RandomModel model("layernorm", RandomModel::kSequences, 1,
                    false);  // the table writes to the stream, and nothing else
  const std::vector<Index> channels = {5, 33};
  ZeroingProbe streams({"attention_stream", "mlp_stream", "head_stream"}, channels),
      inputs({"qkv", "up"}, channels);
  const std::vector<float> without = model.run(&streams);
  CHECK(without != model.run(&inputs));
  const auto clear = [&](const std::string& name) {
    const kernels::MatrixRef values = model.parameter(name);
    for (Index i = 0; i < values.rows; ++i)
      for (const Index j : channels) values.row(i)[j] = 0;
  };
  const auto clear_vector = [&](const std::string& name) {
    for (const Index j : channels) model.parameter(name).data[j] = 0;
  };
  clear("embedding.token");
  clear("embedding.position");
  for (Index b = 0; b < RandomModel::kLayers; ++b)
    for (const char* writer : {"attention.out", "mlp.down"}) {
      const std::string name = "blocks." + std::to_string(b) + "." + writer;
      clear(name + ".weight");
      clear_vector(name + ".bias");
    }
  model.gpt.values_changed();
  CHECK(model.run(nullptr) == without);
}
