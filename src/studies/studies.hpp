// All studies: one function each, a file of its own.
#pragma once
#include "studies/study.hpp"

namespace loglog::studies {

Study chinchilla_study();
Study int8_study();
Study kaplan_study();
Study outliers_study();

}  // namespace loglog::studies
