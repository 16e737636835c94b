// --cache: in which numbers keys and values are remembered.
#pragma once
#include <string>
#include <string_view>

#include "cli/verb.hpp"
#include "kernels/key_value_matrix.hpp"

namespace loglog::cli {

// `cache` stays empty where the option is not given.
CLI::Option* add_cache_option(CLI::App& verb, std::string& cache);

// What it names; empty: that of the model's products.
kernels::KeyValueType cache_type(const std::string& cache, kernels::FloatType products);
std::string_view cache_name(kernels::KeyValueType type);

}  // namespace loglog::cli
