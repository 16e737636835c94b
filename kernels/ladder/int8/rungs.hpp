// The list of the int8 ladder.
#pragma once
#include "kernels/ladder/int8.hpp"

namespace loglog::kernels::ladder {

extern const Int8Rung kAbsmax, kVectorWise, kWidening, kNative, kInt8Threads, kOutliers, kInt8Library;

inline const Int8Rung* const kInt8Rungs[] = {
    &kAbsmax, &kVectorWise, &kWidening, &kNative, &kInt8Threads, &kOutliers, &kInt8Library,
};

}  // namespace loglog::kernels::ladder
