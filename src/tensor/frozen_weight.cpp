#include "tensor/frozen_weight.hpp"

#include "base/check.hpp"

namespace loglog::tensor {

void FrozenWeight::copy_row(float*, Index row) const {
  LOGLOG_CHECK(false, "row {} of a weight that is no table", row);
}

}  // namespace loglog::tensor
