// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command mcpserver is an MCP server with three small tools, made with the official SDK for Go: what
// stands behind the gateway in the local loop and in e2e/mcp. It verifies no token: the gateway does.
//
// It is a module of its own, so that the SDK is no requirement of the project.
//
// /mcp/orders is the SDK's server as it is. /mcp/checked is the same behind a handler of its own, which
// holds Mcp-Method and Mcp-Name against the body in every revision of the protocol. The SDK does that
// for revision 2026-07-28 and later only.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "address; port 0 is a free one")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	say(map[string]any{"listening": listener.Addr().String()})
	log.Fatal((&http.Server{Handler: handler(), ReadHeaderTimeout: 10 * time.Second}).Serve(listener))
}

func handler() http.Handler {
	// Without sessions: what the protocol is from revision 2026-07-28 on, and what several replicas need.
	server := tools()
	orders := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	mux := http.NewServeMux()
	mux.Handle("/mcp/orders", told(orders))
	mux.Handle("/mcp/checked", told(checked(orders)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// shop is what the tools work on.
type shop struct {
	mu     sync.Mutex
	orders []int
}

type order struct {
	ID int `json:"id" jsonschema:"the order's number"`
}

type list struct {
	Orders []int `json:"orders"`
}

func tools() *mcp.Server {
	s := &shop{orders: []int{7, 8, 9}}
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list_orders", Description: "the numbers of all orders"}, s.list)
	mcp.AddTool(server, &mcp.Tool{Name: "delete_order", Description: "deletes an order"}, s.delete)
	mcp.AddTool(server, &mcp.Tool{Name: "reset_orders", Description: "brings all orders back"}, s.reset)
	return server
}

func (s *shop) list(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, list, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return nil, list{slices.Clone(s.orders)}, nil
}

func (s *shop) delete(_ context.Context, _ *mcp.CallToolRequest, o order) (*mcp.CallToolResult, list, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = slices.DeleteFunc(s.orders, func(id int) bool { return id == o.ID })
	return nil, list{slices.Clone(s.orders)}, nil
}

func (s *shop) reset(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, list, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = []int{7, 8, 9}
	return nil, list{slices.Clone(s.orders)}, nil
}

// call is what a request says, in its headers or in its body.
type call struct {
	Method string `json:"method,omitempty"`
	Name   string `json:"name,omitempty"`
}

// limit of a body: these tools need little.
const limit = 1 << 20

// body reads a request's body, puts it back, and returns what it calls.
func body(r *http.Request) (c call, err error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, limit))
	if err != nil {
		return c, err
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	var message struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	err = json.Unmarshal(text, &message)
	return call{message.Method, message.Params.Name}, err
}

// told writes a line of JSON for each request before it is handled: what it says in headers and body,
// and whether it comes with a credential, which no request behind the gateway should.
func told(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called, _ := body(r) // what is no JSON calls nothing
		say(map[string]any{"request": r.Method, "path": r.URL.Path, "revision": r.Header.Get("mcp-protocol-version"),
			"header": call{r.Header.Get("mcp-method"), r.Header.Get("mcp-name")}, "body": called,
			"subject": r.Header.Get("x-subject"), "credential": r.Header.Get("authorization") != ""})
		next.ServeHTTP(w, r)
	})
}

// checked refuses a request whose headers say another thing than its body. This is what somebody has
// to do where rules of the gateway go by these headers: the gateway does not read bodies. A body that
// is no single message, such as a batch, calls nothing and is refused, too.
func checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			called, err := body(r)
			if err != nil || called.Method == "" || called.Method != r.Header.Get("mcp-method") ||
				called.Name != r.Header.Get("mcp-name") {
				http.Error(w, "Mcp-Method or Mcp-Name is not what the body calls", http.StatusBadRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

var output sync.Mutex

func say(line map[string]any) {
	output.Lock()
	defer output.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(line) // whoever has closed it does not want to know
}
