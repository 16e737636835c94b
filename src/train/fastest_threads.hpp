// How many threads train a configuration fastest here. Results do not depend on it.
#pragma once
#include <functional>

#include "model/config.hpp"

namespace loglog::train {

// Asks for the rate (tokens per second) of `most` threads, half of them, and so on while that is faster: small models, slow cores
// beside fast ones and two threads of one core make fewer better. Nothing is asked where `most` is 1 or the run of `steps` steps is so
// short that the answer would cost more than a hundredth of it: then `most`.
int fastest_threads(model::Index steps, int most, const std::function<double(int threads)>& rate);

// Steps that a rate is to be measured with, two that warm up included.
inline constexpr model::Index kStepsPerRate = 5;

}  // namespace loglog::train
