// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePorts are ones that nobody listens on, of the loopback interface. They lie below those that
// the kernel gives to outgoing connections (Linux: from 32768): while a program is stopped, its
// port must not be taken by somebody's connection, nor a client that keeps dialling it meet itself
// there, which TCP allows.
func FreePorts(n int) ([]int, error) {
	const low, high = 20000, 32000
	var ports []int
	for range 1000 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // after all are chosen: none twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("there are no free ports on 127.0.0.1")
}
