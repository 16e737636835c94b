#include "train/evaluate.hpp"

#include "base/check.hpp"
#include "kernels/isa.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::train;

TEST_CASE("the loss has the same bits however many windows the model takes at once") {
  const TemporaryFolder folder;
  write_small_tokens(folder.path() / "t.tok");
  const data::TokenFile file = data::TokenFile::open(folder.path() / "t.tok");
  model::RunConfig c = small_run(file.path());
  c.model.init_sd = 0.02f;
  const data::SplitRanges split = data::make_split(file, "hashed", 0.2);
  const data::FixedSample sample(file, split.validation, c.model.context, 0);
  std::vector<Evaluation> results;
  for (const model::Index batch : {1, 3, 8}) {
    model::Gpt gpt(c.model, {batch, c.model.context});
    gpt.initialise(3);
    const kernels::KernelTable& table = kernels::select_table("auto");
    kernels::Scratch scratch(gpt.scratch_bytes(table, 1));
    kernels::ExecContext ctx{table, 1, scratch};
    const auto room = static_cast<std::size_t>(batch * c.model.context);
    std::vector<data::Token> inputs(room), targets(room);
    std::vector<float> losses(room);
    const PassBuffers buffers{inputs, targets, losses};
    results.push_back(*evaluate(ctx, gpt, sample, file.sources(), buffers, {}));
    REQUIRE_FALSE(evaluate(ctx, gpt, sample, file.sources(), buffers, [] { return true; }));
    REQUIRE_THROWS_AS(
        evaluate(ctx, gpt, sample, file.sources(), {inputs, targets, std::span(losses).first(room - 1)}, {}),
        ContractError);
  }
  REQUIRE(sample.windows() % 8 != 0);  // a rest is part of the test
  for (const Evaluation& r : results) {
    REQUIRE(r.loss == results[0].loss);
    REQUIRE(r.tokens == sample.tokens());
    REQUIRE(r.sources.size() == 2);
    REQUIRE(r.sources[0].name == "first");
    REQUIRE(r.sources[0].tokens + r.sources[1].tokens == r.tokens);
    REQUIRE(r.sources[1].loss == results[0].sources[1].loss);
    const double weighted = r.sources[0].loss * static_cast<double>(r.sources[0].tokens) +
                            r.sources[1].loss * static_cast<double>(r.sources[1].tokens);
    REQUIRE(weighted / static_cast<double>(r.tokens) == Approx(r.loss).epsilon(1e-12));
    REQUIRE(r.loss == Approx(std::log(8.0)).epsilon(0.1));  // an untrained model knows nothing
  }
}
