// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package match decides which rule a request falls under.
//
// A request is first read into one canonical form (Request.Set). Where the upstream could read its
// path or host differently from us, there is no such form and the request is refused as ambiguous
// before any rule is looked at: a rule that guards /admin must not be avoided by writing /%61dmin,
// //admin or /x/..;/admin. The same goes for a header, where a rule asks for it. The rules of a
// configuration are compiled once into an Index, whose answer costs a walk along the path's
// segments, and along the headers that are asked for, however many rules there are.
package match
