// .NET's own SslStream: servers, with a thread for each connection.
//
//     mono Servers.exe PFX PASSWORD NAME KIND SIZE AMOUNT START END ...
//
// Six words for each job; see jobs.py for what they mean.  It tells the ports that
// it listens on, and what it measures, like the programs in Python.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Threading;

class Job
{
    readonly string name, kind;
    readonly byte[] chunk;
    readonly long amount, start, end;
    long count;
    TimeSpan cpu;
    Stopwatch wall;

    public readonly TcpListener Listener = new TcpListener(IPAddress.Loopback, 0);

    public Job(string[] words, int at)
    {
        name = words[at];
        kind = words[at + 1];
        chunk = new byte[long.Parse(words[at + 2])];
        amount = long.Parse(words[at + 3]);
        start = long.Parse(words[at + 4]);
        end = long.Parse(words[at + 5]);
        Listener.Start(1024);
    }

    void Begin()
    {
        cpu = Process.GetCurrentProcess().TotalProcessorTime;
        wall = Stopwatch.StartNew();
    }

    // Returns whether it is this side's turn to send.
    bool Received(int size)
    {
        lock (this)
        {
            bool isFirst = count == 0;
            if (isFirst && start == 0)
                Begin();
            count += size;
            if (count == start)
                Begin();
            if (count == end)
            {
                var process = Process.GetCurrentProcess();
                Console.WriteLine(string.Format(
                    CultureInfo.InvariantCulture,
                    "{{\"workload\": \"{0}\", \"result\": {{\"amount\": {1}, \"cpu\": {2}, " +
                    "\"wall\": {3}, \"peak\": {4}}}}}",
                    name, amount, (process.TotalProcessorTime - cpu).TotalSeconds,
                    wall.Elapsed.TotalSeconds, process.PeakWorkingSet64 / 1024));
            }
            return isFirst && kind == "send";
        }
    }

    void Handle(TcpClient client, X509Certificate2 certificate)
    {
        try
        {
            client.NoDelay = true;
            using (var stream = new SslStream(client.GetStream()))
            {
                stream.AuthenticateAsServer(certificate, false, SslProtocols.Tls12, false);
                var buffer = new byte[1 << 18];
                for (int size; (size = stream.Read(buffer, 0, buffer.Length)) > 0; )
                {
                    if (kind == "echo" || kind == "handshake")
                        stream.Write(buffer, 0, size);
                    bool isMyTurn = Received(size);
                    if (kind == "receive" && count == end)
                        stream.Write(chunk, 0, 1);
                    if (isMyTurn)
                        for (long sent = 0; sent < amount; sent += chunk.Length)
                            stream.Write(chunk, 0, chunk.Length);
                }
            }
        }
        catch (System.IO.IOException)
        {
            // The peer does not wait for close_notify.
        }
    }

    public void Accept(X509Certificate2 certificate)
    {
        while (true)
        {
            var client = Listener.AcceptTcpClient();
            new Thread(() => Handle(client, certificate)) { IsBackground = true }.Start();
        }
    }
}

static class Servers
{
    static void Main(string[] words)
    {
        var certificate = new X509Certificate2(words[0], words[1]);
        var ports = new List<string>();
        for (int at = 2; at < words.Length; at += 6)
        {
            var job = new Job(words, at);
            ports.Add(((IPEndPoint)job.Listener.LocalEndpoint).Port.ToString());
            new Thread(() => job.Accept(certificate)) { IsBackground = true }.Start();
        }
        Console.WriteLine("[" + string.Join(", ", ports) + "]");
        // To the end of the parent's.
        Console.In.ReadToEnd();
        Environment.Exit(0);
    }
}
