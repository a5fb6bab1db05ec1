package Pulse::Rgw;

# A real server of S3: Debian's radosgw, on a cluster of one monitor and one
# store in memory, all of the suite's own and on loopback.
#
#     plan skip_all => $why if my $why = Pulse::Rgw::missing();
#     my $s3 = Pulse::Rgw->start->bucket('studio');
#     $s3->url('studio');   $s3->url('studio', 'virtual');
#     $s3->objects('studio');                     # their names

use v5.30;
use warnings;

use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use POSIX qw(strftime);
use Pulse::Env ();
use Pulse::Process qw(free_port is_alive spawn stop_process wait_until);

our $access = 'STUDIOACCESSKEY';
our $secret = 'studio/secret+key/of/tests';


sub missing {
    for my $program (qw(radosgw radosgw-admin ceph-mon ceph-osd ceph
                        ceph-authtool monmaptool curl))
    {
        return "no $program"
            if system("command -v $program > /dev/null 2>&1") != 0;
    }

    return undef;
}


sub start {
    my ($class) = @_;

    my $self = bless { dir => Pulse::Env::suite_dir() . '/ceph',
                       mon => free_port(), port => free_port(),
                       pids => [], owner => $$ }, $class;
    my $dir = $self->{dir};

    mkdir "$dir$_" or die "$dir$_: $!\n" for '', '/mon', '/osd', '/run';

    chomp($self->{fsid} = Pulse::Env::uuid());
    $self->configure;

    my $keys = "$dir/keyring";

    $self->call("ceph-authtool --create-keyring $keys --gen-key -n mon."
                . " --cap mon 'allow *'");
    $self->call("ceph-authtool $keys --gen-key -n client.admin"
                . " --cap mon 'allow *' --cap osd 'allow *'");
    $self->call("monmaptool --create --fsid $self->{fsid}"
                . " --addv a '[v2:127.0.0.1:$self->{mon}]' $dir/monmap");
    $self->call("ceph-mon --mkfs -i a --monmap $dir/monmap --keyring $keys");
    $self->run(qw(ceph-mon -f -i a));
    $self->call("timeout 30 ceph osd new $self->{fsid} 0");
    $self->call("ceph-osd --mkfs -i 0 --osd-uuid $self->{fsid}");
    $self->run(qw(ceph-osd -f -i 0));

    return $self->serve;
}


# Nobody but this suite knows the ports, so that nothing asks for a secret of
# the cluster's own.

sub configure {
    my ($self) = @_;

    my $dir = $self->{dir};

    open my $out, '>', "$dir/ceph.conf" or die "$dir/ceph.conf: $!\n";

    print $out <<"CONF";
[global]
fsid = $self->{fsid}
mon initial members = a
mon host = [v2:127.0.0.1:$self->{mon}/0]
public addr = 127.0.0.1
ms bind msgr1 = false
ms mon client mode = crc
auth cluster required = none
auth service required = none
auth client required = none
keyring = $dir/keyring
run dir = $dir/run
admin socket =
pid file = $dir/run/\$name.pid
log file = $dir/\$name.log
log to stderr = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
paxos propose interval = 0.01
[mon]
mon data = $dir/mon
[osd]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 536870912
osd op num shards = 1
[client]
rgw data = $dir
rgw frontends = beast endpoint=127.0.0.1:$self->{port}
rgw dns name = s3.localhost
rgw thread pool size = 16
rgw run sync thread = false
CONF

    close $out;
}


sub serve {
    my ($self) = @_;

    $self->{rgw} = $self->run(qw(radosgw -f -n client.admin));

    my $up = wait_until {
        system("curl -s -m 2 -o /dev/null http://127.0.0.1:$self->{port}/")
            == 0;
    } 60;

    die "radosgw did not start, see $self->{dir}\n" if !$up;

    $self->call("radosgw-admin user create --uid=studio"
                . " --display-name=studio --access-key='$access'"
                . " --secret-key='$secret'") if !$self->{user}++;

    return $self;
}


sub run {
    my ($self, @command) = @_;

    my $pid = spawn(command => [@command, '-c', "$self->{dir}/ceph.conf"],
                    output => "$self->{dir}/$command[0].out");

    push @{ $self->{pids} }, $pid;

    return $pid;
}


sub call {
    my ($self, $command) = @_;

    my ($program) = $command =~ /((?:ceph|rados|monmap)\S*)/;
    my $conf = $program =~ /^(?:ceph-authtool|monmaptool)/
        ? '' : " -c $self->{dir}/ceph.conf";

    system("$command$conf > $self->{dir}/$program.out 2>&1 < /dev/null") == 0
        or die "$program failed, see $self->{dir}\n";
}


sub port { $_[0]{port} }


sub url {
    my ($self, $bucket, $style) = @_;

    my $host = ($style // '') eq 'virtual' ? 's3.localhost' : '127.0.0.1';

    return "http://$host:$self->{port}/$bucket";
}


# What another writer of signatures asks, by links.

sub ask {
    my ($self, $method, $path, %query) = @_;

    my $time = strftime('%Y%m%dT%H%M%SZ', gmtime);
    my $scope = substr($time, 0, 8) . '/us-east-1/s3/aws4_request';
    my $host = "127.0.0.1:$self->{port}";

    %query = (%query, 'X-Amz-Algorithm' => 'AWS4-HMAC-SHA256',
              'X-Amz-Credential' => "$access/$scope", 'X-Amz-Date' => $time,
              'X-Amz-Expires' => 60, 'X-Amz-SignedHeaders' => 'host');

    my $query = join '&', map { escape($_) . '=' . escape($query{$_}) }
        sort keys %query;
    my $text = join "\n", 'AWS4-HMAC-SHA256', $time, $scope, sha256_hex(
        "$method\n$path\n$query\nhost:$host\n\nhost\nUNSIGNED-PAYLOAD");
    my $key = "AWS4$secret";

    $key = hmac_sha256($_, $key) for split m{/}, $scope;

    my $url = "http://$host$path?$query&X-Amz-Signature="
        . hmac_sha256_hex($text, $key);

    open my $in, '-|', 'curl', '-s', '-i', $method eq 'HEAD' ? '-I'
        : ('-X', $method), $url or die "curl: $!\n";
    local $/;

    return scalar(<$in>) // '';
}


sub escape {
    my ($text) = @_;

    $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;

    return $text;
}


sub bucket {
    my ($self, $name) = @_;

    my $said = $self->ask(PUT => "/$name");

    die "no bucket: $said\n" if $said =~ /<Error>/;

    return $self;
}


sub objects {
    my ($self, $name) = @_;

    my @names = sort $self->ask(GET => "/$name") =~ m{<Key>([^<]*)</Key>}g;

    return @names;
}


# The gateway alone.

sub stop_serving {
    my ($self) = @_;

    stop_process($self->{rgw}, 'KILL', 10);
    @{ $self->{pids} } = grep { $_ != $self->{rgw} } @{ $self->{pids} };
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    local $?;

    stop_process($_, 'KILL', 10) for reverse @{ $self->{pids} };
}


1;
