// The main of every test program: Catch2, and 77 when something was skipped.
#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"
#include "support/skip.hpp"

int main(int argc, char** argv) {
  Catch::Session session;
  const int status = session.applyCommandLine(argc, argv);
  return status != 0 ? status : loglog::testing::exit_code_of(session.run());
}
