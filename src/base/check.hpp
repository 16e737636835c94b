// Contracts between callers and functions of this project.
//
// LOGLOG_CHECK is always on and guards the drivers (leaves have LOGLOG_DCHECK of kernels/simd/simd.hpp). It is for
// mistakes of the programmer. What a user or a file does wrong is in base/error.hpp.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace loglog {

class ContractError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void throw_contract_error(const char* file, int line, const char* condition,
                                       const std::string& details);

}  // namespace loglog

// LOGLOG_CHECK(a.cols == b.rows, "a is {}x{}, b is {}x{}", a.rows, a.cols, b.rows, b.cols);
#define LOGLOG_CHECK(condition, ...)                                                              \
  do {                                                                                            \
    if (!(condition))                                                                             \
      ::loglog::throw_contract_error(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
  } while (false)
