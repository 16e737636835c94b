// Once a model, its scratch and its optimiser exist, training allocates nothing.
#include "support/failing_allocator.hpp"
#include "support/isa.hpp"
#include "support/small_models.hpp"
#include "train/optimizer.hpp"

using namespace loglog;
using namespace loglog::testing;

TEST_CASE("no allocation after construction", "[allocator]") {
  const model::ModelConfig m{.layers = 2, .width = 32, .heads = 4, .context = 16, .vocab = 40};
  SmallModel small(m, {2, 16}, test_table());
  train::AdamW adamw(small.gpt, {});
  allocations_left = 0;  // the next one throws
  small.gpt.zero_gradients();
  small.forward_backward(1.0f);
  const double norm = adamw.step(small.ctx, small.gpt, 1e-3, 1);
  small.forward();
  allocations_left = -1;
  CHECK(norm > 0.0);
}
