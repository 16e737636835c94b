// Models of Hugging Face against the library itself: logits of every architecture, every gradient and ten steps of training of two.
// The files were written by tests/reference/hf_models.py, which holds the formulas of tokens and targets too.
#include <cmath>

#include "formats/architecture.hpp"
#include "formats/hf.hpp"
#include "io/safetensors.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/isa.hpp"
#include "train/optimizer.hpp"

using namespace loglog;
using namespace loglog::testing;
using formats::Index;

namespace {

constexpr nn::BatchShape kShape{2, 9};
constexpr double kTolerance = 1e-4;  // what the project promises, relative to the largest of what is compared

const char* const kNames[] = {"gpt2", "gpt2_erf", "gpt_neox", "gpt_neox_serial",
                              "opt",  "llama",    "mistral",  "qwen2"};

Path folder_of(const std::string& name) {
  return Path("tests/reference/hf") / name;
}

std::vector<float> read_tensor(const io::SafetensorsFile& file, const std::string& name) {
  const io::TensorEntry* entry = file.find(name);
  INFO(name);
  REQUIRE(entry != nullptr);
  std::vector<float> values(entry->elements());
  file.read(*entry, values);
  return values;
}

double largest_of(std::span<const float> x) {
  double largest = 0;
  for (const float v : x) largest = std::max(largest, std::abs(double(v)));
  return largest;
}

// A model of that folder with room for the batch.
struct Loaded {
  formats::ImportedModel imported;
  model::Gpt gpt;
  kernels::Scratch scratch;
  kernels::ExecContext ctx;
  std::vector<nn::Token> tokens, targets;
  std::vector<float> losses;

  explicit Loaded(const std::string& name)
      : imported(formats::import_hf(folder_of(name))),
        gpt(imported.config.model, kShape),
        scratch(gpt.scratch_bytes(test_table(), 1)),
        ctx{test_table(), 1, scratch},
        losses(static_cast<std::size_t>(kShape.rows())) {
    std::ranges::copy(imported.gpt->values(), gpt.values().begin());
    const auto vocab = static_cast<nn::Token>(imported.config.model.vocab);
    for (nn::Token r = 0; r < kShape.rows(); ++r) {
      tokens.push_back((r * r + 3 * r) % vocab);
      targets.push_back((r * r + 3 * r + 5) % vocab);
    }
  }
  void forward_backward() {
    gpt.zero_gradients(ctx);
    gpt.forward_backward(ctx, kShape.batch, tokens.data(), targets.data(), 1.0f / float(kShape.rows()),
                         losses.data());
  }
};

}  // namespace

// The losses of every word as target are -log softmax of the logits: these but for a constant of each row.
TEST_CASE("logits equal those of transformers") {
  const std::string name = GENERATE(from_range(std::begin(kNames), std::end(kNames)));
  CAPTURE(name);
  Loaded ours(name);
  const Index vocab = ours.imported.config.model.vocab, rows = kShape.rows();
  const io::SafetensorsFile file(folder_of(name) / "expected.safetensors");
  const std::vector<float> logits = read_tensor(file, "logits");
  REQUIRE(logits.size() == static_cast<std::size_t>(rows * vocab));
  const double largest = largest_of(logits);
  REQUIRE(largest > 1);
  for (nn::Token v = 0; v < vocab; ++v) {
    std::ranges::fill(ours.targets, v);
    ours.gpt.forward(ours.ctx, kShape.batch, ours.tokens.data(), ours.targets.data(), ours.losses.data());
    REQUIRE(compare(rows, [&](Index r) {
      const float* const row = logits.data() + r * vocab;
      double sum = 0;
      for (Index j = 0; j < vocab; ++j) sum += std::exp(double(row[j]));
      return Element{ours.losses[static_cast<std::size_t>(r)], std::log(sum) - double(row[v]),
                     kTolerance * largest};
    }));
  }
}

TEST_CASE("losses, every gradient and ten steps of training equal those of transformers") {
  const std::string name = GENERATE("gpt2", "llama");
  CAPTURE(name);
  Loaded ours(name);
  const io::SafetensorsFile file(folder_of(name) / "expected.safetensors");
  ours.forward_backward();
  const std::vector<float> losses = read_tensor(file, "losses");
  REQUIRE(compare(kShape.rows(), [&](Index r) {
    const auto i = static_cast<std::size_t>(r);
    return Element{ours.losses[i], losses[i], kTolerance * largest_of(losses)};
  }));

  const formats::Architecture& a = name == "gpt2" ? formats::gpt2() : formats::llamas()[0];
  const auto exact =
      formats::make_holder(ours.imported.config.model);  // gradients in the places of parameters
  const std::vector<formats::TensorMap> maps = formats::tensor_maps(a, ours.imported.config.model);
  std::size_t gradients = 0;
  for (const io::TensorEntry& entry : file.tensors())
    gradients += entry.name.starts_with("gradient.") ? 1 : 0;
  REQUIRE(maps.size() == gradients);
  for (const formats::TensorMap& map : maps)
    to_ours(map, read_tensor(file, "gradient." + map.theirs), formats::parameter(*exact, map.ours));
  for (const model::NamedParameter& p : ours.gpt.parameters()) {
    INFO(p.name);
    const tensor::Parameter& wanted = formats::parameter(*exact, p.name);
    const double largest = largest_of({wanted.value, static_cast<std::size_t>(wanted.size())});
    CHECK(compare(p.tensor.size(), [&](Index i) {
      return Element{p.tensor.gradient[i], wanted.value[i], kTolerance * largest};
    }));
  }

  train::AdamW adamw(ours.gpt, {.beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.0});
  const std::vector<float> history = read_tensor(file, "training");
  REQUIRE(history.size() == 10);
  for (std::size_t step = 0; step < history.size(); ++step) {
    ours.forward_backward();
    double mean = 0;
    for (const float loss : ours.losses) mean += double(loss) / double(kShape.rows());
    CHECK(mean == Approx(history[step]).margin(kTolerance));
    adamw.step(ours.ctx, ours.gpt, 1e-2, static_cast<std::int64_t>(step) + 1);
  }
}
