// Once a model, its scratch and its optimiser exist, training allocates nothing.
#include "support/failing_allocator.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"
#include "support/temporary_folder.hpp"
#include "train/optimizer.hpp"
#include "train/small_runs.hpp"
#include "train/train_state.hpp"

using namespace loglog;
using namespace loglog::testing;

TEST_CASE("no allocation after construction", "[allocator]") {
  const model::ModelConfig m{.layers = 2, .width = 32, .heads = 4, .context = 16, .vocab = 40};
  SmallModel small(m, {2, 16}, test_table());
  train::AdamW adamw(small.gpt, {});
  allocations_left = 0;  // the next one throws
  small.gpt.zero_gradients(small.ctx);
  small.forward_backward(1.0f);
  const double norm = adamw.step(small.ctx, small.gpt, 1e-3, 1);
  small.forward();
  allocations_left = -1;
  CHECK(norm > 0.0);
}

// The first step makes room for weights in bfloat16; from the second one on there is nothing left to make.
TEST_CASE("no allocation in a step on masked data, mixtures and documents kept apart", "[allocator]") {
  const TemporaryFolder folder;
  const Path tokens = folder.path() / "t.tok";
  write_small_documents(tokens, true);
  const data::TokenFile file = data::TokenFile::open(tokens);
  const auto [documents, mixture, mask] = GENERATE(table<std::string, std::string, std::string>(
      {{"ignore", "", "causal"}, {"mask", "", "causal"}, {"mask", "first=1,second=2", "prefix"}}));
  model::RunConfig config = small_run(tokens);
  config.data.documents = documents;
  config.data.mixture = mixture;
  config.model.mask = mask;
  config.model.mask_span = mask == "prefix" ? 2 : 0;
  config.train.precision = GENERATE("f32", "bf16");
  config.train.optimizer = GENERATE("adamw", "sgd");
  config.train.dropout = 0.1;
  CAPTURE(documents, mixture, mask, config.train.precision, config.train.optimizer);
  train::TrainState state(config, file, test_table(), 1);
  REQUIRE(state.step(0, 0)->finite);
  bool finite = true;
  allocations_left = 0;
  try {
    for (train::Index step = 1; step < 4; ++step) finite = finite && state.step(step, 6 * step)->finite;
    allocations_left = -1;
  } catch (...) {
    allocations_left = -1;
    throw;
  }
  CHECK(finite);
}
