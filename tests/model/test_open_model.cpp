// Models on disk: run folders and model folders open to the values that were written; what is neither, or damaged, is refused.
#include "model/open_model.hpp"

#include <sys/stat.h>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "io/safetensors.hpp"
#include "model/checkpoint.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::model;
using namespace loglog::testing;
using Catch::Contains;

namespace {

RunConfig small_config() {
  RunConfig config;
  config.model = {.layers = 1, .width = 8, .heads = 2, .context = 5, .vocab = 7};
  config.model.mlp = "gelu-erf";
  config.train.batch = 4;
  config.train.steps = 20;
  resolve(config, 7);
  return config;
}

void fill(Gpt& gpt, std::uint64_t seed) {
  const Rng rng(seed, 0);
  for (const NamedParameter& p : gpt.parameters())
    for (Index i = 0; i < p.tensor.size(); ++i)
      p.tensor.value[i] = static_cast<float>(
          rng.normal(static_cast<std::uint64_t>(p.tensor.value - gpt.values().data() + i)));
}

std::vector<float> values_of(const Gpt& gpt) {
  return {gpt.values().begin(), gpt.values().end()};
}

void save_step(const Path& run, const RunConfig& config, Gpt& gpt, Index step) {
  const CheckpointFolder checkpoints(real_file_system(), run / kCheckpointFolder);
  checkpoints.create();
  CheckpointState state;
  state.step = step, state.windows = step * config.train.batch;
  state.tokens = state.windows * config.model.context;
  state.isa = "scalar", state.config = config;
  std::vector<CheckpointTensor> tensors;
  for (const NamedParameter& p : gpt.parameters())
    tensors.push_back(
        {p.name, p.tensor.rows, p.tensor.cols, {p.tensor.value, static_cast<std::size_t>(p.tensor.size())}});
  std::vector<float> moments(8, 0.5f);
  tensors.push_back({"adamw.m.head.norm.gain", 1, 8, moments});
  checkpoints.save(state, tensors);
}

}  // namespace

TEST_CASE("a model folder opens to what was written") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "model";
  const RunConfig config = small_config();
  Gpt gpt(config.model, {1, 1}), back(config.model, {2, 5});
  fill(gpt, 1);
  write_model_folder(real_file_system(), path, config, gpt, R"({"kind":"bytes"})");
  CHECK(list_directory(folder.path()).size() == 1);
  const OpenedModel opened = open_model(path);
  CHECK(opened.config == config);
  CHECK(opened.codec == path / kCodecFile);
  CHECK_THAT(opened.tokenizer, Contains(R"({"kind":"bytes"})"));
  CHECK(opened.isa.empty());
  CHECK(opened.step == 0);
  load_parameters(opened, back);
  CHECK(compare_equal(values_of(back), values_of(gpt)));
}

TEST_CASE(
    "rows of a parameter come in order, so many at a time of a file, all at once of a model in memory") {
  const TemporaryFolder folder;
  const RunConfig config = small_config();
  Gpt gpt(config.model, {1, 1});
  fill(gpt, 1);
  write_model_folder(real_file_system(), folder.path() / "model", config, gpt, "");
  const OpenedModel opened = open_model(folder.path() / "model");
  const Index rows = config.model.vocab, cols = config.model.width;
  std::vector<float> expected(static_cast<std::size_t>(rows * cols));
  opened.parameters->read("embedding.token", expected);
  const auto pieces = [&](const ParameterSource& source, Index most) {
    std::vector<float> values;
    std::vector<Index> counts;
    source.each_rows("embedding.token", rows, cols, most, [&](Index first, kernels::ConstMatrixRef part) {
      CHECK(first * cols == static_cast<Index>(values.size()));
      for (Index i = 0; i < part.rows; ++i) values.insert(values.end(), part.row(i), part.row(i) + part.cols);
      counts.push_back(part.rows);
    });
    CHECK(values == expected);
    return counts;
  };
  CHECK(pieces(*opened.parameters, rows - 1) == std::vector<Index>{rows - 1, 1});
  CHECK(pieces(*opened.parameters, rows) == std::vector<Index>{rows});
  CHECK(pieces(GptParameters(gpt), 1) == std::vector<Index>{rows});
  const auto ignore = [](Index, kernels::ConstMatrixRef) {};
  CHECK_THROWS_AS(opened.parameters->each_rows("embedding.token", rows + 1, cols, 1, ignore), InputError);
  CHECK_THROWS_AS(opened.parameters->each_rows("absent", rows, cols, 1, ignore), InputError);
  CHECK_THROWS_AS(opened.parameters->each_rows("embedding.token", rows, cols, 0, ignore), ContractError);
}

TEST_CASE("a run folder opens to its newest checkpoint; the optimiser's tensors are passed over") {
  const TemporaryFolder folder;
  const RunConfig config = small_config();
  Gpt first(config.model, {1, 1}), second(config.model, {1, 1}), back(config.model, {1, 1});
  fill(first, 1), fill(second, 2);
  save_step(folder.path(), config, first, 5);
  save_step(folder.path(), config, second, 10);
  const OpenedModel opened = open_model(folder.path());
  CHECK(opened.config == config);
  CHECK(opened.codec.empty());
  CHECK(opened.tokenizer.empty());
  CHECK(opened.isa == "scalar");
  CHECK(opened.step == 10);
  load_parameters(opened, back);
  CHECK(compare_equal(values_of(back), values_of(second)));
}

TEST_CASE("what is no model, or a damaged one, is refused by file") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(open_model(folder.path() / "absent"), Contains("is no model") && Contains("absent"));
  CHECK_THROWS_AS(open_model(folder.path()), InputError);
  real_file_system().create_directories(folder.path() / "run" / kCheckpointFolder);
  CHECK_THROWS_WITH(open_model(folder.path() / "run"), Contains("has no checkpoint yet"));

  const Path path = folder.path() / "model";
  const RunConfig config = small_config();
  Gpt gpt(config.model, {1, 1});
  fill(gpt, 1);
  const auto tensors_with = [&](auto change) {
    write_model_folder(real_file_system(), path, config, gpt, "");
    std::vector<io::TensorValues> tensors;
    for (const NamedParameter& p : gpt.parameters())
      tensors.push_back({p.name,
                         {std::uint64_t(p.tensor.rows), std::uint64_t(p.tensor.cols)},
                         {p.tensor.value, static_cast<std::size_t>(p.tensor.size())}});
    change(tensors);
    io::write_safetensors(real_file_system(), path / kParameterFile, tensors, {});
  };
  tensors_with([](auto& tensors) { tensors.pop_back(); });
  CHECK_THROWS_WITH(load_parameters(open_model(path), gpt),
                    Contains("model.safetensors") && Contains("'head.norm.bias' is missing"));
  tensors_with([](auto& tensors) { tensors.back().shape = {8, 1}; });
  CHECK_THROWS_WITH(load_parameters(open_model(path), gpt),
                    Contains("'head.norm.bias' is [8,1], the model has [1,8]"));
  tensors_with([](auto& tensors) { tensors.push_back(tensors.back()), tensors.back().name = "other"; });
  CHECK_THROWS_WITH(load_parameters(open_model(path), gpt), Contains("'other' is none of this model"));

  // Of tensors that are not there no memory is taken: what is wrong is found when the model is opened.
  write_model_folder(real_file_system(), path, config, gpt, "");
  write_atomically(
      real_file_system(), path / kConfigFile,
      std::string_view("[model]\nlayers = 1\nwidth = 65536\nheads = 2\ncontext = 5\nvocab = 16777216"));
  CHECK_THROWS_WITH(open_model(path), Contains("'embedding.token' is [7,8], the model has [16777216,65536]"));

  for (const char* toml :
       {"[model]\nheads = 3\nvocab = 7\nwidth = 8", "[model]\nvocab = 0", "[model]\nwidht = 8", "[model"}) {
    write_atomically(real_file_system(), path / kConfigFile, std::string_view(toml));
    INFO(toml);
    CHECK_THROWS_AS(open_model(path), InputError);
    CHECK_THROWS_WITH(open_model(path), Contains("config.toml"));
  }
  std::filesystem::remove(path / kConfigFile);
  REQUIRE(::mkfifo((path / kConfigFile).c_str(), 0600) == 0);  // is not waited for
  CHECK_THROWS_AS(open_model(path), InputError);
}
