// Processors of this machine.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace loglog {

// Numbers of the processors that this process may run on, ascending; at least one.
std::vector<int> usable_processors();

// How many processes ran or waited to, on average over the last minute; NaN where the system does not tell.
double load_average();

// The name that the processors go by; "unknown" where the system does not tell.
std::string processor_name();

// The value behind "key :" or "key:" in a file of such lines, /proc/cpuinfo or /proc/meminfo; "" when there is none.
std::string field_of(const char* path, std::string_view key);

}  // namespace loglog
