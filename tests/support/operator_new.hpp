// Whether a test program can have an operator new of its own. Not beside clang's thread sanitizer, which brings one: cases
// that need theirs have the tag [allocator], and are left out there.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOGLOG_OWN_OPERATOR_NEW 0
#endif
#endif
#if !defined(LOGLOG_OWN_OPERATOR_NEW)
#define LOGLOG_OWN_OPERATOR_NEW 1
#endif
