// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net"
	"strings"

	"github.com/miekg/dns"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const domain = "svc.cluster.local."

// resolver answers for services, with the addresses of the pods behind them, and for the world's names.
type resolver struct {
	client *kubernetes.Clientset
	world  *World
}

// serve answers on the bridge until the process ends.
func (r *resolver) serve() error {
	conn, err := net.ListenPacket("udp", net.JoinHostPort(hostIP, "53"))
	if err != nil {
		return err
	}
	server := &dns.Server{PacketConn: conn, Handler: r}
	go func() { _ = server.ActivateAndServe() }() // it ends with the network
	return nil
}

func (r *resolver) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg).SetReply(question)
	answer.Authoritative, answer.RecursionAvailable = true, true
	name := strings.ToLower(question.Question[0].Name)
	ips, known := r.lookup(name)
	if !known {
		answer.Rcode = dns.RcodeNameError
	}
	if question.Question[0].Qtype == dns.TypeA {
		for _, ip := range ips {
			answer.Answer = append(answer.Answer, &dns.A{A: net.ParseIP(ip),
				Hdr: dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}})
		}
	}
	_ = w.WriteMsg(answer) // who does not get it asks again
}

func (r *resolver) lookup(name string) (ips []string, known bool) {
	service, ok := strings.CutSuffix(name, "."+domain)
	if !ok {
		ip := r.world.lookup(strings.TrimSuffix(name, "."))
		return []string{ip}[:min(1, len(ip))], ip != ""
	}
	labels := strings.Split(service, ".")
	if len(labels) != 2 {
		return nil, false
	}
	slices, err := r.client.DiscoveryV1().EndpointSlices(labels[1]).List(context.Background(),
		metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + labels[0]})
	if err != nil {
		return nil, false
	}
	for _, slice := range slices.Items {
		known = true
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ips = append(ips, e.Addresses...)
			}
		}
	}
	return ips, known
}
