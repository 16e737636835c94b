// What a step does with the data's rules: means over the targets that count, documents kept apart, mixtures, exposure.
#include "train/train_state.hpp"

#include <cmath>

#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "kernels/rowwise/sums.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"
#include "train/trainer.hpp"

using namespace loglog;
using namespace loglog::train;

namespace {

struct Case {
  const char* name;
  bool mask;
  const char *documents, *mixture;
};
const std::vector<Case> kCases = {{"mask", true, "ignore", ""},
                                  {"documents", false, "mask", ""},
                                  {"mixture", false, "ignore", "first=0.7,second=0.3"},
                                  {"all", true, "mask", "first=1,second=4"}};

struct Workshop {
  TemporaryFolder folder;
  int runs = 0;
  model::RunConfig config_of(const Case& c) {
    const Path tokens = folder.path() / (std::string(c.name) + ".tok");
    write_small_documents(tokens, c.mask);
    model::RunConfig config = small_run(tokens);
    config.data.documents = c.documents;
    config.data.mixture = c.mixture;
    config.model.init_sd = 0.3f;
    return config;
  }
  TrainOptions options() {
    return {.kernels = kernels::select_table("auto"),
            .threads = 1,
            .out = folder.path() / std::to_string(runs++) / "run",
            .fs = unsynced_file_system()};
  }
};

}  // namespace

// Against the parts: the batcher's windows through a model of its own, in one pass.
TEST_CASE("a step's loss and gradient are the mean over the targets that count") {
  Workshop w;
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const model::RunConfig config = w.config_of(c);
    const data::TokenFile file = data::TokenFile::open(config.data.path);
    const kernels::KernelTable& table = kernels::select_table("auto");
    TrainState state(config, file, table, 1);
    const StepResult step = *state.step(0, 0);

    const bool apart = std::string_view(c.documents) == "mask";
    model::Gpt gpt(config.model, {config.train.batch, config.model.context, apart});
    gpt.initialise(config.train.seed);
    kernels::Scratch scratch(gpt.scratch_bytes(table, 1));
    kernels::ExecContext ctx{table, 1, scratch};
    gpt.zero_gradients(ctx);
    const auto rows = static_cast<std::size_t>(config.train.batch * config.model.context);
    std::vector<data::Token> inputs(rows), targets(rows);
    std::vector<float> losses(rows);
    state.batcher().fill(0, inputs, targets);
    const auto counted =
        static_cast<double>(rows) - static_cast<double>(std::ranges::count(targets, data::kIgnoredTarget));
    REQUIRE((counted < static_cast<double>(rows)) == (c.mask || apart));
    eval::PackedDocuments documents(7, config.model.context, config.train.batch);
    gpt.forward_backward(ctx, config.train.batch, inputs.data(), targets.data(),
                         static_cast<float>(1 / counted), losses.data(),
                         {.documents = apart ? documents.find(inputs) : nn::Documents()});
    double sum = 0;
    for (const float loss : losses) sum += loss;
    CHECK(step.loss == sum / counted);
    const std::span<float> g = gpt.gradients();
    const double norm = std::sqrt(kernels::sum_of_squares(ctx, g.data(), static_cast<Index>(g.size())));
    // Two micro-batches add their gradients in another order.
    CHECK(step.gradient_norm == Approx(norm).epsilon(1e-5));
  }
}

TEST_CASE("no target that counts is seen by its own query, whatever the mask") {
  Workshop w;
  const auto [mask, span] =
      GENERATE(table<std::string, Index>({{"causal", 0}, {"window", 3}, {"prefix", 2}, {"prefix", 6}}));
  for (const Case& c : kCases) {
    CAPTURE(mask, span, c.name);
    model::RunConfig config = w.config_of(c);
    config.model.mask = mask;
    config.model.mask_span = span;
    const data::TokenFile file = data::TokenFile::open(config.data.path);
    const kernels::KernelTable& table = kernels::select_table("auto");
    const TrainState state(config, file, table, 1);
    const bool apart = std::string_view(c.documents) == "mask";
    const Index context = config.model.context;
    model::Gpt gpt(config.model, {1, context, apart});
    gpt.initialise(3);
    kernels::Scratch scratch(gpt.scratch_bytes(table, 1));
    kernels::ExecContext ctx{table, 1, scratch};
    eval::PackedDocuments documents(7, context, 1);
    std::vector<data::Token> inputs(static_cast<std::size_t>(context)), targets(inputs.size());
    const auto losses_of = [&](const std::vector<data::Token>& tokens) {
      std::vector<float> losses(tokens.size());
      gpt.forward(ctx, 1, tokens.data(), targets.data(), losses.data(),
                  apart ? documents.find(tokens) : nn::Documents());
      return losses;
    };
    std::size_t counted = 0;
    for (std::uint64_t window = 0; window < 4; ++window) {
      state.batcher().fill(window, inputs, targets);
      const std::vector<float> losses = losses_of(inputs);
      for (std::size_t t = 0; t + 1 < inputs.size(); ++t) {
        if (targets[t] == data::kIgnoredTarget) continue;
        std::vector<data::Token> others = inputs;
        others[t + 1] = (others[t + 1] + 3) % 7;
        CAPTURE(window, t);
        REQUIRE(losses_of(others)[t] == losses[t]);
        ++counted;
      }
    }
    REQUIRE(counted > 0);
    REQUIRE(
        (mask != "prefix" || apart || c.mask || counted == 4 * (15 - static_cast<std::size_t>(span - 1))));
  }
}

TEST_CASE("with every rule, runs resume to the same bits, and the record says what was drawn") {
  Workshop w;
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const model::RunConfig config = w.config_of(c);
    const TrainOptions straight = w.options();
    const TrainResult result = train::train(config, straight);
    REQUIRE(result.status == Status::done);
    for (const int stop : {1, 7}) {
      TrainOptions first = w.options();
      auto done = std::make_shared<Index>(0);
      first.on_progress = [done](const Progress& p) { *done = p.step; };
      first.stop_requested = [done, stop] { return *done >= stop; };
      REQUIRE(train::train(config, first).status == Status::checkpointed);
      TrainOptions second = w.options();
      second.out = first.out;
      second.resume = true;
      train::train(config, second);
      CHECK(newest_tensors(first.out) == newest_tensors(straight.out));
      CHECK(comparable_record(first.out) == comparable_record(straight.out));
    }
    const auto& exposure = result.end_event.at("exposure");
    const auto first = exposure.at("first").at("windows").get<double>(),
               second = exposure.at("second").at("windows").get<double>();
    CHECK(first + second == 12 * 6);
    CHECK(exposure.at("first").at("epochs").get<double>() > 0);
    if (c.name == std::string("mixture")) CHECK(std::abs(first - 0.7 * 72) < 1);
    if (c.name == std::string("all")) CHECK(std::abs(first - 0.2 * 72) < 1);
  }
}

TEST_CASE("documents that nobody marked, and sources that there are not, are refused") {
  const TemporaryFolder folder;
  write_small_tokens(folder.path() / "t.tok");
  const data::TokenFile file = data::TokenFile::open(folder.path() / "t.tok");
  model::RunConfig config = small_run(file.path());
  config.data.documents = "mask";
  CHECK_THROWS_AS(TrainState(config, file, kernels::select_table("auto"), 1), UsageError);
  config.data.documents = "ignore";
  config.data.mixture = "first=1,third=1";
  CHECK_THROWS_WITH(TrainState(config, file, kernels::select_table("auto"), 1), Catch::Contains("third"));
}

// A batch of prompts alone has nothing to learn from: its loss is 0, and it moves nothing but by weight decay.
TEST_CASE("a batch without a target that counts has loss and gradient 0") {
  const TemporaryFolder folder;
  data::TokenWriter writer(real_file_system(), folder.path() / "t.tok", 1);
  writer.begin_source("s");
  const Rng draw(1, 1);
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const auto token = static_cast<data::Token>(draw.below(i, 7));
    writer.append({&token, 1}, i % 400 < 8 ? data::Counts::yes : data::Counts::no);
  }
  writer.finish(8, nlohmann::json::object());
  const data::TokenFile file = data::TokenFile::open(folder.path() / "t.tok");
  model::RunConfig config = small_run(file.path());
  config.data.split = "position";
  config.data.val_share = 0.2;
  config.train.batch = config.train.micro_batch = 1;
  config.train.steps = 40;
  config.train.weight_decay = 0;
  config.train.steps = 40;
  TrainState state(config, file, kernels::select_table("auto"), 1);
  int empty = 0;
  for (Index step = 0; step < 40; ++step) {
    const StepResult result = *state.step(step, step);
    const bool counts = state.batcher().counted(static_cast<std::uint64_t>(step), 1) > 0;
    CHECK((result.loss > 0) == counts);
    CHECK((result.gradient_norm > 0) == counts);
    CHECK(result.finite);
    empty += !counts;
  }
  CHECK(empty > 20);
  CHECK(empty < 40);
}
