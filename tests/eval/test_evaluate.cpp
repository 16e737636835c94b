#include "eval/evaluate.hpp"

#include <cmath>

#include "base/check.hpp"
#include "kernels/isa.hpp"

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "train/small_runs.hpp"

using namespace loglog;
using namespace loglog::eval;

namespace {

// Losses of `c`'s untrained model on the sample, with room for `batch` windows.
Evaluation evaluated(const model::RunConfig& c, const data::TokenFile& file, const data::FixedSample& sample,
                     model::Index batch, bool apart) {
  model::Gpt gpt(c.model, {batch, c.model.context, apart});
  gpt.initialise(3);
  const kernels::KernelTable& table = kernels::select_table("auto");
  kernels::Scratch scratch(gpt.scratch_bytes(table, 1));
  kernels::ExecContext ctx{table, 1, scratch};
  const auto room = static_cast<std::size_t>(batch * c.model.context);
  std::vector<data::Token> inputs(room), targets(room);
  std::vector<float> losses(room);
  PackedDocuments documents(7, c.model.context, batch);
  return *evaluate(ctx, gpt, sample, file.sources(), {inputs, targets, losses, apart ? &documents : nullptr},
                   {});
}

}  // namespace

TEST_CASE("targets that do not count are in no loss, and documents are scored each alone") {
  const TemporaryFolder folder;
  write_small_documents(folder.path() / "t.tok", true);
  write_small_documents(folder.path() / "plain.tok", false);
  const data::TokenFile masked = data::TokenFile::open(folder.path() / "t.tok"),
                        plain = data::TokenFile::open(folder.path() / "plain.tok");
  model::RunConfig c = small_run(masked.path());
  c.model.init_sd = 0.5f;  // far from uniform: every target has another loss
  const std::vector<data::TokenRange> ranges = {{0, 400, 0}, {12000, 12300, 1}};
  const data::FixedSample sample(masked, ranges, c.model.context, 0), all(plain, ranges, c.model.context, 0);
  std::uint64_t counted = 0;
  std::vector<data::Token> inputs(16), targets(16);
  for (std::uint64_t i = 0; i < sample.windows(); ++i) {
    sample.fill(i, inputs, targets);
    counted += 16 - static_cast<std::uint64_t>(std::ranges::count(targets, data::kIgnoredTarget));
  }
  const Evaluation few = evaluated(c, masked, sample, 3, false), whole = evaluated(c, plain, all, 3, false);
  REQUIRE(few.tokens == counted);
  REQUIRE(counted < whole.tokens * 9 / 10);
  REQUIRE(few.loss != whole.loss);
  REQUIRE(evaluated(c, masked, sample, 8, false).loss == few.loss);
  // Every document of this file is scored by a window of its own: the same sum of losses, in another order.
  const data::FixedSample apart(plain, ranges, c.model.context, 0, data::Documents::apart);
  const Evaluation packed = evaluated(c, plain, apart, 4, true);
  double sum = 0;
  std::uint64_t tokens = 0;
  for (std::uint64_t i = 0; i < apart.windows(); ++i) {
    apart.fill(i, inputs, targets);
    for (std::size_t begin = 0, end = 0; begin < 16; begin = end) {
      while (end < 16 && inputs[end] != 7) ++end;
      end = std::min<std::size_t>(16, end + 1);
      const auto length = static_cast<model::Index>(end - begin);
      model::Gpt alone(c.model, {1, length});
      alone.initialise(3);
      const kernels::KernelTable& table = kernels::select_table("auto");
      kernels::Scratch scratch(alone.scratch_bytes(table, 1));
      kernels::ExecContext ctx{table, 1, scratch};
      std::vector<float> losses(end - begin);
      alone.forward(ctx, 1, inputs.data() + begin, targets.data() + begin, losses.data());
      for (std::size_t t = begin; t < end; ++t) {
        if (targets[t] == data::kIgnoredTarget) continue;
        sum += losses[t - begin];
        ++tokens;
      }
    }
  }
  REQUIRE(packed.tokens == tokens);
  REQUIRE(packed.loss == Approx(sum / static_cast<double>(tokens)).epsilon(1e-12));
}

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
