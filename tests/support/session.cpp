#define CATCH_CONFIG_RUNNER
#include "support/session.hpp"

#include "support/catch.hpp"
#include "support/skip.hpp"

int loglog::testing::run_session(int argc, const char* const* argv) {
  Catch::Session session;
  const int status = session.applyCommandLine(argc, argv);
  return status != 0 ? status : exit_code_of(session.run());
}
