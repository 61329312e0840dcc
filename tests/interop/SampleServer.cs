// The server of the SslStream class page, for the interoperability tests.
//
//     SampleServer.exe PORT PFXFILE PASSWORD [require-client-certificate] [shutdown]
//
// With "shutdown" it sends a close_notify before it closes, which the
// documented sample does not do.
//
// It differs from the documented sample in this: it listens on 127.0.0.1 and
// says on which port (PORT 0 is any), its certificate comes from a PKCS#12
// file, it can require a certificate of the client (whose content it leaves to
// the test), and it speaks TLS 1.2.

using System;
using System.IO;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Reflection;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;

using Mono.Security.Interface;

public static class SslTcpServer
{
    const string Marker = "<EOF>";

    static X509Certificate2 serverCertificate;
    static bool clientCertificateRequired;
    static bool shutdown;

    // Any certificate will do; none will do only where none is required.
    public static bool ValidateClientCertificate(
        object sender, X509Certificate certificate, X509Chain chain,
        SslPolicyErrors sslPolicyErrors)
    {
        Console.WriteLine("Client certificate: {0}; platform's verdict: {1}",
            certificate == null ? "none" : certificate.Subject, sslPolicyErrors);
        return certificate != null || !clientCertificateRequired;
    }

    // Make ShutdownAsync send a close_notify; by default Mono's is a quiet one.
    static void SendCloseNotify()
    {
        MonoTlsSettings settings = new MonoTlsSettings();
        PropertyInfo property = typeof(MonoTlsSettings).GetProperty(
            "SendCloseNotify", BindingFlags.Instance | BindingFlags.NonPublic);
        if (property == null)
            throw new NotSupportedException("this Mono has no setting SendCloseNotify");
        property.SetValue(settings, true, null);
        MonoTlsSettings.DefaultSettings = settings;
    }

    static void RunServer(int port)
    {
        TcpListener listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        Console.WriteLine("Listening on port {0}", ((IPEndPoint)listener.LocalEndpoint).Port);
        Console.Out.Flush();
        while (true) {
            Console.WriteLine("Waiting for a client to connect...");
            // Application blocks while waiting for an incoming connection.
            TcpClient client = listener.AcceptTcpClient();
            ProcessClient(client);
            Console.Out.Flush();
        }
    }

    static void ProcessClient(TcpClient client)
    {
        // A client has connected. Create the SslStream using the client's
        // network stream.
        SslStream sslStream = new SslStream(
            client.GetStream(), false,
            new RemoteCertificateValidationCallback(ValidateClientCertificate), null);
        try {
            // The handshake too must end, or one mute client would stop the server.
            sslStream.ReadTimeout = 5000;
            sslStream.WriteTimeout = 5000;
            sslStream.AuthenticateAsServer(
                serverCertificate, clientCertificateRequired, SslProtocols.Tls12, false);
            // Display the properties and settings for the authenticated stream.
            DisplaySecurity(sslStream);

            // Read a message from the client.
            Console.WriteLine("Waiting for client message...");
            string messageData = ReadMessage(sslStream);
            Console.WriteLine("Received: {0}", messageData);

            // Write a message to the client.
            byte[] message = Encoding.UTF8.GetBytes("Hello from the server.<EOF>");
            Console.WriteLine("Sending hello message.");
            sslStream.Write(message);
            sslStream.Flush();
            // Closing alone sends no close_notify.
            if (shutdown)
                sslStream.ShutdownAsync().Wait(5000);
        } catch (AuthenticationException e) {
            Console.WriteLine("Exception: {0}", e.Message);
            for (Exception inner = e.InnerException; inner != null; inner = inner.InnerException)
                Console.WriteLine("Inner exception: {0}", inner.Message);
            Console.WriteLine("Authentication failed - closing the connection.");
        } catch (Exception e) {
            // A client that went away or fell silent is not the end of the server.
            for (Exception inner = e; inner != null; inner = inner.InnerException)
                Console.WriteLine("{0}: {1}", inner.GetType().Name, inner.Message);
            Console.WriteLine("The conversation failed.");
        } finally {
            // The client stream will be closed with the sslStream because we
            // specified this behavior when creating the sslStream.
            try {
                sslStream.Close();
            } catch (Exception e) {
                Console.WriteLine("While closing: {0}: {1}", e.GetType().Name, e.Message);
            }
            client.Close();
            Console.WriteLine("Connection closed.");
        }
    }

    static string ReadMessage(SslStream sslStream)
    {
        // The end of the message is signalled using the "<EOF>" marker.  One
        // decoder for the whole message, in case a character spans two buffers.
        byte[] buffer = new byte[2048];
        StringBuilder messageData = new StringBuilder();
        Decoder decoder = Encoding.UTF8.GetDecoder();
        int bytes;
        do {
            bytes = sslStream.Read(buffer, 0, buffer.Length);
            char[] chars = new char[decoder.GetCharCount(buffer, 0, bytes)];
            decoder.GetChars(buffer, 0, bytes, chars, 0);
            messageData.Append(chars);
            // Check for EOF.
            if (messageData.ToString().IndexOf(Marker, StringComparison.Ordinal) != -1)
                break;
        } while (bytes != 0);
        return messageData.ToString();
    }

    // What the stream has to say of the connection.
    static void DisplaySecurity(SslStream stream)
    {
        Console.WriteLine("Cipher: {0} strength {1}",
            Told(() => stream.CipherAlgorithm), Told(() => stream.CipherStrength));
        Console.WriteLine("Hash: {0} strength {1}",
            Told(() => stream.HashAlgorithm), Told(() => stream.HashStrength));
        Console.WriteLine("Key exchange: {0} strength {1}",
            Told(() => stream.KeyExchangeAlgorithm), Told(() => stream.KeyExchangeStrength));
        Console.WriteLine("Protocol: {0}", stream.SslProtocol);
        // Not in the documented sample, but the one thing Mono tells of the cipher.
        Console.WriteLine("Cipher suite: {0}", Told(() => MonoTlsProviderFactory
            .GetMonoSslStream(stream).GetConnectionInfo().CipherSuiteCode));
        Console.WriteLine("Is authenticated: {0} as server? {1}",
            stream.IsAuthenticated, stream.IsServer);
        Console.WriteLine("Is mutually authenticated: {0}", stream.IsMutuallyAuthenticated);
        Console.WriteLine("IsSigned: {0}", stream.IsSigned);
        Console.WriteLine("Is Encrypted: {0}", stream.IsEncrypted);
        Console.WriteLine("Can read: {0}, write {1}", stream.CanRead, stream.CanWrite);
        Console.WriteLine("Can timeout: {0}", stream.CanTimeout);
        Console.WriteLine("Certificate revocation list checked: {0}",
            Told(() => stream.CheckCertRevocationStatus));
        DisplayCertificate("Local", stream.LocalCertificate);
        DisplayCertificate("Remote", stream.RemoteCertificate);
    }

    // Some of Mono's getters raise, even of an authenticated stream.
    static object Told(Func<object> getter)
    {
        try {
            return getter();
        } catch (Exception e) {
            return "(" + e.GetType().Name + ")";
        }
    }

    static void DisplayCertificate(string whose, X509Certificate certificate)
    {
        if (certificate == null) {
            Console.WriteLine("{0} certificate is null.", whose);
            return;
        }
        Console.WriteLine("{0} cert was issued to {1} and is valid from {2} until {3}.", whose,
            certificate.Subject, certificate.GetEffectiveDateString(),
            certificate.GetExpirationDateString());
    }

    public static int Main(string[] args)
    {
        bool understood = args.Length >= 3;
        for (int i = 3; i < args.Length; i++) {
            if (args[i] == "require-client-certificate")
                clientCertificateRequired = true;
            else if (args[i] == "shutdown")
                shutdown = true;
            else
                understood = false;
        }
        if (!understood) {
            Console.Error.WriteLine("usage: SampleServer.exe"
                + " PORT PFXFILE PASSWORD [require-client-certificate] [shutdown]");
            return 2;
        }
        try {
            if (shutdown)
                SendCloseNotify();
            serverCertificate = new X509Certificate2(args[1], args[2]);
            RunServer(int.Parse(args[0]));
        } catch (Exception e) {
            Console.WriteLine("{0}: {1}", e.GetType().Name, e.Message);
        }
        return 1;
    }
}
