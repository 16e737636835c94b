// The main of every test program: Catch2, plus two facts from the command line that tests may ask for.
#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"

int main(int argc, char** argv) {
  Catch::Session session;
  const int status = session.applyCommandLine(argc, argv);
  return status != 0 ? status : session.run();
}
