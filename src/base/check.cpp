#include "base/check.hpp"

namespace loglog {

void throw_contract_error(const char* file, int line, const char* condition, const std::string& details) {
  throw ContractError(fmt::format("{}:{}: expected {}: {}", file, line, condition, details));
}

}  // namespace loglog
