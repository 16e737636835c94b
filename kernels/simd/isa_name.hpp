// Names made of LOGLOG_ISA_NAME, which CMake defines: table_avx2 and "avx2".
#pragma once

#define LOGLOG_JOIN2(a, b) a##b
#define LOGLOG_JOIN(a, b) LOGLOG_JOIN2(a, b)
#define LOGLOG_TEXT2(a) #a
#define LOGLOG_TEXT(a) LOGLOG_TEXT2(a)

#define LOGLOG_ISA_TABLE LOGLOG_JOIN(table_, LOGLOG_ISA_NAME)
#define LOGLOG_ISA_TEXT LOGLOG_TEXT(LOGLOG_ISA_NAME)
#define LOGLOG_ISA_LADDER LOGLOG_JOIN(ladder_, LOGLOG_ISA_NAME)
