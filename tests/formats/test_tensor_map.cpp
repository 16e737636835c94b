// Maps between tensors: each element of ours has exactly one of theirs, and the orders of heads are those of their programs.
#include "formats/tensor_map.hpp"

#include <map>

#include "base/check.hpp"
#include "formats/architecture.hpp"
#include "formats/foreign_models.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"

using namespace loglog;
using namespace loglog::formats;
using namespace loglog::testing;

namespace {

// One parameter with values of its own.
struct Own {
  std::vector<float> values, gradients;
  tensor::Parameter p;
  Own(Index rows, Index cols)
      : values(static_cast<std::size_t>(rows * cols), -1.0f), gradients(values.size()) {
    p = {values.data(), gradients.data(), rows, cols};
  }
};

std::vector<float> counted(Index n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  return x;
}

}  // namespace

TEST_CASE("every element of a model is mapped once, for every architecture") {
  for (const auto& [a, config] : {std::pair<const Architecture*, model::ModelConfig>{&gpt2(), small_gpt2()},
                                  {&opt(), small_opt()},
                                  {&gpt_neox(), small_neox()},
                                  {&llamas()[0], small_llama()},
                                  {&llamas()[2], small_qwen2()}}) {
    INFO(std::string(a->model_type));
    const auto counts = filled_gpt(config);
    std::ranges::fill(counts->values(), 0.0f);
    std::map<std::string, int> names;
    for (const TensorMap& map : tensor_maps(*a, counts->config())) {
      CHECK(++names[map.theirs] == 1);
      const tensor::Parameter& ours = parameter(*counts, map.ours);
      Own once(ours.rows, ours.cols);  // -1 where this map does not reach
      to_ours(map, std::vector<float>(static_cast<std::size_t>(map.elements()), 1.0f), once.p);
      for (Index i = 0; i < ours.size(); ++i)
        ours.value[i] += once.values[static_cast<std::size_t>(i)] > 0 ? 1.0f : 0.0f;
    }
    for (const model::NamedParameter& p : counts->parameters()) {
      INFO(p.name);
      CHECK(std::all_of(p.tensor.value, p.tensor.value + p.tensor.size(), [](float n) { return n == 1.0f; }));
    }
  }
}

TEST_CASE("a matrix (out, in) is turned, beside others in one of ours") {
  TensorMaps maps;
  maps.linear("v", "qkv", {2, 3, true, 4});
  const std::vector<TensorMap> list = maps.take();
  REQUIRE(list.size() == 2);
  Own ours(2, 7), bias(1, 7);
  to_ours(list[0], counted(6), ours.p);  // theirs [[0 1] [2 3] [4 5]]
  CHECK(ours.values == std::vector<float>{-1, -1, -1, -1, 0, 2, 4, -1, -1, -1, -1, 1, 3, 5});
  to_ours(list[1], counted(3), bias.p);
  CHECK(bias.values == std::vector<float>{-1, -1, -1, -1, 0, 1, 2});
  std::vector<float> back(6);
  to_theirs(list[0], back, ours.p);
  CHECK(back == counted(6));
}

TEST_CASE("rows without counterpart are read over and written as zeros") {
  TensorMaps maps;
  maps.matrix("positions", "position", 4, 2).skipped_rows = 2;
  const std::vector<TensorMap> list = maps.take();
  Own ours(2, 2);
  to_ours(list[0], counted(8), ours.p);
  CHECK(ours.values == std::vector<float>{4, 5, 6, 7});
  std::vector<float> back(8, 9.0f);
  to_theirs(list[0], back, ours.p);
  CHECK(back == std::vector<float>{0, 0, 0, 0, 4, 5, 6, 7});
}

TEST_CASE("queries, keys and values that are packed head by head") {
  TensorMaps maps;  // two heads of two: q0 q0 k0 k0 v0 v0 q1 q1 k1 k1 v1 v1
  maps.linear("qkv", "qkv", {1, 12, false, 0, HeadOrder::packed_qkv, 2, 2});
  const std::vector<TensorMap> list = maps.take();
  Own ours(1, 12);
  to_ours(list[0], counted(12), ours.p);
  CHECK(ours.values == std::vector<float>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11});
  std::vector<float> back(12);
  to_theirs(list[0], back, ours.p);
  CHECK(back == counted(12));
}

TEST_CASE("elements that turn together stand side by side there, half a head apart here") {
  TensorMaps maps;
  maps.linear("q", "q", {1, 8, false, 0, HeadOrder::rotary_pairs, 2, 4});
  const std::vector<TensorMap> list = maps.take();
  Own ours(1, 8);
  to_ours(list[0], counted(8), ours.p);
  CHECK(ours.values == std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7});
}

TEST_CASE("a map that does not fit its tensor is a mistake of ours") {
  TensorMaps maps;
  maps.matrix("a", "b", 2, 3);
  const std::vector<TensorMap> list = maps.take();
  Own low(1, 3), narrow(2, 2);
  CHECK_THROWS_AS(to_ours(list[0], counted(6), low.p), ContractError);
  CHECK_THROWS_AS(to_ours(list[0], counted(6), narrow.p), ContractError);
}
