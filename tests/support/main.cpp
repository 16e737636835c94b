// The main of every test program that is not run once per ISA.
#include "support/session.hpp"

int main(int argc, char** argv) {
  return loglog::testing::run_session(argc, argv);
}
