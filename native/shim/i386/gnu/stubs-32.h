// SPDX-License-Identifier: Apache-2.0
//
// glibc's headers of x86-64 serve i386 but for this one, which Debian keeps in
// libc6-dev-i386. It says which functions of glibc do nothing; the shim calls none.
