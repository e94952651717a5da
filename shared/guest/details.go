// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guest

import "github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"

// SetReplyDetails sets what Envoy prints as %RESPONSE_CODE_DETAILS% for the next local reply of
// this callback. The ABI has an argument for it; the SDK's SendHttpResponse leaves it empty.
func SetReplyDetails(details string) { abi.ReplyDetails = details }
